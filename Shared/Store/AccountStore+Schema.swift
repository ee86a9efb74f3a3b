internal import GRDB

extension AccountStore {
  /// Released migrations never change. A schema change is a new migration.
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: ledger and accounts") { database in
      try database.execute(
        sql: """
          CREATE TABLE ledger_transactions (
            position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            kind TEXT NOT NULL, time INTEGER NOT NULL, entries INTEGER NOT NULL,
            note TEXT NOT NULL) STRICT;
          CREATE INDEX ledger_transactions_by_time ON ledger_transactions (time, position);
          CREATE TABLE ledger_entries (
            position INTEGER NOT NULL REFERENCES ledger_transactions (position),
            line INTEGER NOT NULL, time INTEGER NOT NULL, account TEXT NOT NULL,
            amount INTEGER NOT NULL, PRIMARY KEY (position, line)) STRICT, WITHOUT ROWID;
          CREATE INDEX ledger_entries_by_account
            ON ledger_entries (account, time, position, amount);
          CREATE TABLE keys (
            id TEXT PRIMARY KEY, mac BLOB NOT NULL, record TEXT NOT NULL,
            revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
          CREATE TABLE accounts (
            organisation TEXT NOT NULL, team TEXT NOT NULL, record TEXT NOT NULL,
            revision INTEGER NOT NULL, PRIMARY KEY (organisation, team)) STRICT, WITHOUT ROWID;
          CREATE TABLE settings (
            name TEXT PRIMARY KEY, record TEXT NOT NULL, revision INTEGER NOT NULL)
            STRICT, WITHOUT ROWID;
          CREATE TABLE prices (
            position INTEGER PRIMARY KEY AUTOINCREMENT, record TEXT NOT NULL,
            revision INTEGER NOT NULL) STRICT;
          CREATE TABLE audit (
            position INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,
            author TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, before TEXT, after TEXT)
            STRICT;
          CREATE INDEX audit_by_record ON audit (kind, id, position);
          CREATE TABLE revisions (
            row INTEGER PRIMARY KEY CHECK (row = 1), last INTEGER NOT NULL) STRICT;
          INSERT INTO revisions VALUES (1, 0);
          """)
      try protect("ledger_transactions", replacedIf: "position = NEW.position OR id = NEW.id")
      try protect("ledger_entries", replacedIf: "position = NEW.position AND line = NEW.line")
      try protect("prices", replacedIf: "position = NEW.position")
      try protect("audit", replacedIf: "position = NEW.position")

      /// Makes a table append-only. INSERT OR REPLACE needs a trigger of its own, because SQLite
      /// does not run the trigger for DELETE when it replaces a row.
      func protect(_ table: String, replacedIf condition: String) throws {
        let refusal = "SELECT RAISE(ABORT, 'rows of \(table) are never changed')"
        try database.execute(
          sql: """
            CREATE TRIGGER \(table)_update BEFORE UPDATE ON \(table) BEGIN \(refusal); END;
            CREATE TRIGGER \(table)_delete BEFORE DELETE ON \(table) BEGIN \(refusal); END;
            CREATE TRIGGER \(table)_replace BEFORE INSERT ON \(table)
              WHEN EXISTS (SELECT 1 FROM \(table) WHERE \(condition)) BEGIN \(refusal); END;
            """)
      }
    }
    migrator.registerMigration("2: models") { database in
      try database.execute(
        sql: """
          CREATE TABLE models (
            name TEXT PRIMARY KEY, record TEXT NOT NULL, revision INTEGER NOT NULL)
            STRICT, WITHOUT ROWID;
          """)
    }
    migrator.registerMigration("3: checkpoints of the ledger") { database in
      try database.execute(
        sql: """
          CREATE TABLE checkpoints (
            position INTEGER PRIMARY KEY, json TEXT NOT NULL, ids BLOB NOT NULL,
            checksum BLOB NOT NULL) STRICT;
          """)
    }
    migrator.registerMigration("4: indexes of the audit log") { database in
      // Every index of SQLite also has the row's `position`, by which lists are sorted.
      try database.execute(
        sql: """
          CREATE INDEX audit_by_kind ON audit (kind);
          CREATE INDEX audit_by_id ON audit (id);
          """)
    }
    migrator.registerMigration("5: authors of the audit log") { database in
      try database.execute(sql: "CREATE INDEX audit_by_author ON audit (author)")
    }
    return migrator
  }
}
