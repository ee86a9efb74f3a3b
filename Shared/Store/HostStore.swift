public import ClusterModel
internal import GRDB

/// Persists the registry's hosts. Only settings made by an admin are stored. Probes determine
/// models, version and round trip again after a restart.
public final class HostStore: Sendable {
  private let path: String
  private let queue: DatabaseQueue

  /// - Parameter path: path of the database file. If the file is absent, it is created. If it is
  ///   damaged or comes from a newer version, an error is thrown and the file is not modified.
  public init(path: String) throws(Failure) {
    self.path = path
    queue = try SQLiteFile.open(path: path, migrator: Self.migrator, verify: true) {
      path, configuration in try DatabaseQueue(path: path, configuration: configuration)
    }
  }

  /// Returns the hosts in the order in which they were added. The state of each host is `suspended`
  /// or `unknown`.
  public func hosts() async throws(Failure) -> [HostRecord] {
    do {
      return try await queue.read { database in
        try Row.fetchAll(database, sql: "SELECT * FROM hosts ORDER BY position").map(Self.record)
      }
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }

  /// Inserts or replaces a host. The change is durable on return.
  public func save(_ record: HostRecord) async throws(Failure) {
    let host = record.host
    do {
      try await queue.write { database in
        try database.execute(
          sql: """
            INSERT INTO hosts
              (id, url, dialect, resume, credential, tier, trust, suspended, slots, price_input,
                price_output, omits_v1, models, tags, region, drained)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET url = excluded.url, dialect = excluded.dialect,
              resume = excluded.resume, credential = excluded.credential, tier = excluded.tier,
              trust = excluded.trust, suspended = excluded.suspended, slots = excluded.slots,
              price_input = excluded.price_input, price_output = excluded.price_output,
              omits_v1 = excluded.omits_v1, models = excluded.models,
              tags = excluded.tags, region = excluded.region, drained = excluded.drained
            """,
          arguments: [
            host.id.name.storable, host.url.storable, record.dialect?.rawValue ?? Self.learned,
            record.resume?.rawValue ?? Self.learned, host.credential?.storable,
            host.tier.rawValue, host.trust.rawValue, host.state == .suspended, host.slots,
            host.price?.input, host.price?.output, record.omitsV1, Self.text(of: record.models),
            host.tags.joined(separator: "\n").storable, host.region?.storable, record.isDrained,
          ])
      }
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }

  /// Removes a host if it exists. The change is durable on return.
  public func remove(_ host: HostID) async throws(Failure) {
    do {
      try await queue.write { database in
        try database.execute(
          sql: "DELETE FROM hosts WHERE id = ?", arguments: [host.name.storable])
      }
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }

  /// Closes the file. No other method may be called afterwards.
  public func close() async {
    // `close` fails only if a statement is running. The file then closes when the statement ends.
    try? queue.close()
  }

  private static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: hosts") { database in
      try database.execute(
        sql: """
          CREATE TABLE hosts (
            position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            url TEXT NOT NULL, dialect TEXT NOT NULL, tier TEXT NOT NULL, trust TEXT NOT NULL,
            suspended INTEGER NOT NULL, slots INTEGER, price INTEGER NOT NULL);
          """)
    }
    migrator.registerMigration("2: dialects") { database in
      // Before this migration there was only one dialect, so no admin can have chosen it. From now
      // on the dialect is detected.
      try database.execute(
        sql: """
          ALTER TABLE hosts ADD COLUMN resume TEXT NOT NULL DEFAULT 'auto';
          ALTER TABLE hosts ADD COLUMN credential TEXT;
          UPDATE hosts SET dialect = 'auto';
          """)
    }
    migrator.registerMigration("3: strict") { database in
      // Find a row with a value of the wrong type, so that the error names its host. SQLite would
      // also refuse the row, but without the name.
      let wrong = try Row.fetchOne(
        database,
        sql: """
          SELECT quote(id) AS id FROM hosts WHERE typeof(id) <> 'text' OR typeof(url) <> 'text'
            OR typeof(suspended) <> 'integer' OR typeof(price) <> 'integer'
            OR typeof(slots) NOT IN ('integer', 'null')
            OR typeof(credential) NOT IN ('text', 'null') LIMIT 1
          """)
      if let wrong {
        let id = (try? wrong.decode(String.self, forColumn: "id")) ?? "?"
        throw Failure(
          .storeDamaged,
          "The row of host \(id.cut(toBytes: 100)) holds a value of the wrong type; correct or delete it."
        )
      }
      try database.execute(
        sql: """
          CREATE TABLE strict_hosts (
            position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
            url TEXT NOT NULL, dialect TEXT NOT NULL, tier TEXT NOT NULL, trust TEXT NOT NULL,
            suspended INTEGER NOT NULL, slots INTEGER, price INTEGER NOT NULL,
            resume TEXT NOT NULL DEFAULT 'auto', credential TEXT) STRICT;
          INSERT INTO strict_hosts
            (position, id, url, dialect, tier, trust, suspended, slots, price, resume, credential)
          SELECT
            position, id, url, dialect, tier, trust, suspended, slots, price, resume, credential
          FROM hosts;
          DROP TABLE hosts;
          ALTER TABLE strict_hosts RENAME TO hosts;
          """)
    }
    migrator.registerMigration("4: models") { database in
      try database.execute(
        sql: """
          ALTER TABLE hosts ADD COLUMN omits_v1 INTEGER;
          ALTER TABLE hosts ADD COLUMN models TEXT NOT NULL DEFAULT '';
          """)
    }
    migrator.registerMigration("5: tags") { database in
      try database.execute(
        sql: """
          ALTER TABLE hosts ADD COLUMN tags TEXT NOT NULL DEFAULT '';
          ALTER TABLE hosts ADD COLUMN region TEXT;
          ALTER TABLE hosts ADD COLUMN drained INTEGER NOT NULL DEFAULT 0;
          """)
    }
    migrator.registerMigration("6: prices of prompts and answers") { database in
      // The former price was one number of credits. 0 was also the default, so it does not show that
      // an admin stated it.
      try database.execute(
        sql: """
          ALTER TABLE hosts ADD COLUMN price_input INTEGER;
          ALTER TABLE hosts ADD COLUMN price_output INTEGER;
          UPDATE hosts SET price_input = min(price, 1000000000) * 1000000 WHERE price > 0;
          UPDATE hosts SET price_output = price_input;
          ALTER TABLE hosts DROP COLUMN price;
          """)
    }
    return migrator
  }

  /// One model name per line. A name with a line break cannot be configured.
  private static func text(of models: [ModelID]) -> String {
    models.map(\.name).joined(separator: "\n").storable
  }

  /// Stored value of a dialect or resume way that is learned from the host and not chosen by an
  /// admin.
  private static let learned = "auto"

  private static func record(_ row: Row) throws -> HostRecord {
    let id = try row.decode(String.self, forColumn: "id")
    let dialect = try row.decode(String.self, forColumn: "dialect")
    let resume = try row.decode(String.self, forColumn: "resume")
    let tier = try row.decode(String.self, forColumn: "tier")
    let trust = try row.decode(String.self, forColumn: "trust")
    let suspended = try row.decode(Bool.self, forColumn: "suspended")
    let chosenDialect = HostDialect(rawValue: dialect)
    let chosenResume = ResumeWay(rawValue: resume)
    guard chosenDialect != nil || dialect == learned, chosenResume != nil || resume == learned,
      let tier = HostTier(rawValue: tier), let trust = DataPolicy(rawValue: trust)
    else {
      // A guessed trust or tier could send prompts to a host that must not get them.
      throw Failure(
        .storeDamaged,
        "Host \(id) has an unknown dialect, resume way, tier or trust; correct its row.")
    }
    let isDrained = suspended ? try row.decode(Bool.self, forColumn: "drained") : false
    let stored = try row.decode(String.self, forColumn: "tags").split(separator: "\n")
    let region = try row.decode(String?.self, forColumn: "region")
    guard let tags = HostTags.checked(stored.map(String.init)), region.map(HostTags.isName) ?? true
    else {
      // If one tag were dropped, the host would get no more requests for the pool of this tag,
      // without any warning.
      throw Failure(
        .storeDamaged, "Host \(id) has a tag or region that is not allowed; correct its row.")
    }
    let host = Host(
      id: HostID(id), url: try row.decode(String.self, forColumn: "url"),
      dialect: chosenDialect ?? .openai, resume: chosenResume ?? .instruct,
      credential: try row.decode(String?.self, forColumn: "credential"), tier: tier, trust: trust,
      state: suspended ? .suspended : .unknown,
      reason: suspended ? (isDrained ? Host.drainedReason : Host.suspendedReason) : "",
      slots: try row.decode(Int?.self, forColumn: "slots"),
      price: try price(row, of: id), tags: tags, region: region)
    let models = try row.decode(String.self, forColumn: "models")
    return HostRecord(
      host, dialect: chosenDialect, resume: chosenResume,
      omitsV1: try row.decode(Bool?.self, forColumn: "omits_v1"),
      models: models.split(separator: "\n").map { ModelID(String($0)) }, isDrained: isDrained)
  }

  private static func price(_ row: Row, of id: String) throws -> HostPrice? {
    let input = try row.decode(Int64?.self, forColumn: "price_input")
    let output = try row.decode(Int64?.self, forColumn: "price_output")
    guard let input, let output else {
      guard input == nil, output == nil else { throw wrongPrice(of: id) }
      return nil
    }
    let price = HostPrice(input: input, output: output)
    guard price.input == input, price.output == output else { throw wrongPrice(of: id) }
    return price
  }

  private static func wrongPrice(of id: String) -> Failure {
    // A guessed price could pay the host too much, or call it free.
    Failure(.storeDamaged, "Host \(id) has a price that is not allowed; correct its row.")
  }
}

extension Host {
  fileprivate static let suspendedReason = "suspended by an admin"
  fileprivate static let drainedReason = "drained by an admin"
}
