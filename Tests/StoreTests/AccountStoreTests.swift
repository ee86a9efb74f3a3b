import ClusterModel
import Foundation
import GRDB
import Limits
import Store
import Testing

@Suite("Keys, accounts, prices and settings on disk")
struct RecordStoreTests {
  private static let admin = ChangeAuthor(name: "admin", time: 1_000)

  private func revisions(_ outcome: ChangeOutcome) throws -> [RecordRevision] {
    guard case .applied(let revisions) = outcome else {
      Issue.record("\(outcome)")
      return []
    }
    return revisions
  }

  @Test("records survive a restart with their revisions")
  func survive() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    var store = try AccountStore(path: path)
    let outcome = try await store.apply(
      [
        .saveOrganisation("acme", json: "{\"o\":1}", .absent),
        .saveTeam("research", organisation: "acme", json: "{\"t\":1}", .absent),
        .saveKey("key2", mac: [0, 255, 0], json: "{\"k\":2}", .absent),
        .saveKey("key1", mac: [], json: "{\"k\":1}", .absent),
        .saveSetting("race.eta", json: "150", .absent),
        .appendPrice(json: "{\"p\":1}"), .appendPrice(json: "{\"p\":2}"),
      ], by: Self.admin)
    let revisions = try revisions(outcome)
    #expect(revisions == (1...7).map { RecordRevision($0) })
    await store.close()
    store = try AccountStore(path: path)
    #expect(
      try await store.accounts() == [
        StoredRecord(subject: .organisation("acme"), json: "{\"o\":1}", revision: revisions[0]),
        StoredRecord(
          subject: .team("research", organisation: "acme"), json: "{\"t\":1}",
          revision: revisions[1]),
      ])
    #expect(
      try await store.keys() == [
        StoredKey(id: "key1", mac: [], json: "{\"k\":1}", revision: revisions[3]),
        StoredKey(id: "key2", mac: [0, 255, 0], json: "{\"k\":2}", revision: revisions[2]),
      ])
    #expect(try await store.keys(after: "key1", limit: 1).map(\.id) == ["key2"])
    #expect(try await store.settings().map(\.json) == ["150"])
    #expect(try await store.prices().map(\.json) == ["{\"p\":1}", "{\"p\":2}"])
    #expect(try await store.prices(after: 1).map(\.position) == [2])
    await store.close()
  }

  @Test("of two admins who change one record, the second one gets a conflict")
  func conflict() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let created = try revisions(
      await store.apply([.saveSetting("s", json: "1", .absent)], by: Self.admin))[0]
    let changed = try revisions(
      await store.apply([.saveSetting("s", json: "2", .revision(created))], by: Self.admin))[0]
    #expect(changed > created)
    for expected in [ExpectedRevision.revision(created), .absent] {
      let outcome = try await store.apply(
        [.saveSetting("s", json: "3", expected)], by: Self.admin)
      #expect(outcome == .conflict(change: 0, current: changed))
    }
    let gone = try await store.apply(
      [.remove(.setting("never"), .revision(created))], by: Self.admin)
    #expect(gone == .conflict(change: 0, current: nil))
    #expect(try await store.settings().map(\.json) == ["2"])
    _ = try await store.apply([.saveSetting("s", json: "4", .any)], by: Self.admin)
    #expect(try await store.settings().map(\.json) == ["4"])
    await store.close()
  }

  @Test("a model's record is stored by its name, with its changes in the audit log")
  func models() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    var store = try AccountStore(path: path)
    let made = try revisions(
      await store.apply(
        [.saveModel("org/m", json: "{\"m\":1}", .absent), .saveModel("n", json: "{}", .any)],
        by: Self.admin))
    await store.close()
    store = try AccountStore(path: path)
    #expect(
      try await store.models() == [
        StoredRecord(subject: .model("n"), json: "{}", revision: made[1]),
        StoredRecord(subject: .model("org/m"), json: "{\"m\":1}", revision: made[0]),
      ])
    _ = try await store.apply([.remove(.model("org/m"), .revision(made[0]))], by: Self.admin)
    #expect(try await store.models().map(\.subject) == [.model("n")])
    let audit = try await store.audit(AuditQuery(kind: "model", id: "org/m"))
    #expect(audit.map(\.before) == ["{\"m\":1}", nil])
    #expect(audit.map(\.after) == [nil, "{\"m\":1}"])
    await store.close()
  }

  @Test("a revision is never used twice, also not by a record that was removed and made again")
  func revisionsAreUnique() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let first = try revisions(
      await store.apply([.saveKey("k", mac: [1], json: "{}", .absent)], by: Self.admin))[0]
    let removed = try revisions(
      await store.apply([.remove(.key("k"), .revision(first))], by: Self.admin))[0]
    #expect(try await store.keys().isEmpty)
    let second = try revisions(
      await store.apply([.saveKey("k", mac: [2], json: "{}", .absent)], by: Self.admin))[0]
    #expect(first < removed && removed < second)
    await store.close()
  }

  @Test("several changes are made together or not at all, with their audit records")
  func together() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let outcome = try await store.apply(
      [
        .saveOrganisation("acme", json: "{}", .absent), .appendPrice(json: "{}"),
        .saveTeam("t", organisation: "acme", json: "{}", .revision(RecordRevision(1))),
      ], by: Self.admin)
    #expect(outcome == .conflict(change: 2, current: nil))
    #expect(try await store.accounts().isEmpty)
    #expect(try await store.prices().isEmpty)
    #expect(try await store.audit(AuditQuery()).isEmpty)
    let next = try await store.apply([.appendPrice(json: "{}")], by: Self.admin)
    #expect(next == .applied([RecordRevision(1)]))
    await store.close()
  }

  @Test("the audit log has every change with its author, before and after, and no hash of a key")
  func audit() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let ann = ChangeAuthor(name: "ann", time: 1)
    let bob = ChangeAuthor(name: "bob", time: 2)
    _ = try await store.apply([.saveKey("k", mac: [7], json: "{\"v\":1}", .absent)], by: ann)
    _ = try await store.apply(
      [
        .saveKey("k", mac: [7], json: "{\"v\":2}", .any),
        .saveTeam("t", organisation: "acme", json: "{}", .any),
      ], by: bob)
    _ = try await store.apply([.remove(.key("k"), .any), .appendPrice(json: "{}")], by: ann)
    let records = try await store.audit(AuditQuery())
    #expect(
      records == [
        AuditRecord(
          position: 5, author: ann, kind: "price", id: "1", before: nil, after: "{}"),
        AuditRecord(
          position: 4, author: ann, kind: "key", id: "k", before: "{\"v\":2}", after: nil),
        AuditRecord(
          position: 3, author: bob, kind: "team", id: "acme/t", before: nil, after: "{}"),
        AuditRecord(
          position: 2, author: bob, kind: "key", id: "k", before: "{\"v\":1}",
          after: "{\"v\":2}"),
        AuditRecord(
          position: 1, author: ann, kind: "key", id: "k", before: nil, after: "{\"v\":1}"),
      ])
    #expect(try await store.audit(AuditQuery(kind: "key", id: "k")).map(\.position) == [4, 2, 1])
    #expect(
      try await store.audit(AuditQuery(kind: "key", before: 4, limit: 1)).map(\.position) == [2])
    await store.close()
  }

  @Test("a name or a record that exceeds its limit is refused, and nothing is changed")
  func limits() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let long = String(repeating: "x", count: Limits.transactionIDBytes.value + 1)
    let large = String(repeating: "x", count: Limits.recordBytes.value + 1)
    let changes: [RecordChange] = [
      .saveSetting("", json: "1", .any), .saveSetting("a\0b", json: "1", .any),
      .saveKey(long, mac: [], json: "{}", .any), .saveOrganisation("o", json: large, .any),
      // An empty name would stand for the organisation itself.
      .saveTeam("", organisation: "acme", json: "{}", .any),
      .appendPrice(json: large), .saveSetting("s", json: "1\0", .any), .remove(.key(""), .any),
    ]
    for change in changes {
      let failure = await failure {
        _ = try await store.apply(
          [.saveSetting("first", json: "1", .any), change], by: Self.admin)
      }
      #expect(failure?.code == .invalidRequest)
    }
    #expect(try await store.settings().isEmpty)
    #expect(try await store.audit(AuditQuery()).isEmpty)
    await store.close()
  }
}

@Suite("The file of ledger and accounts")
struct AccountFileTests {
  @Test("a damaged file, one of a newer version, and another program's are refused and stay")
  func refused() async throws {
    let scratch = try Scratch()
    let path = scratch.path("damaged.sqlite")
    let bytes = Data((0..<8_192).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    try bytes.write(to: URL(fileURLWithPath: path))
    let damaged = await failure { _ = try AccountStore(path: path) }
    #expect(damaged?.code == .storeDamaged && damaged?.message.contains(path) == true)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)

    let newer = scratch.path("newer.sqlite")
    let store = try AccountStore(path: newer)
    _ = try await store.append([try transfer("a", 1)])
    await store.close()
    try edit(newer, "INSERT INTO grdb_migrations VALUES ('2: of a later version')")
    let tooNew = await failure { _ = try AccountStore(path: newer) }
    #expect(tooNew?.code == .storeTooNew && tooNew?.message.contains(newer) == true)
  }

  @Test("the audit log is read by an index, also in a file of an older version")
  func auditIndexes() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    let older = try AccountStore(path: path)
    await older.close()
    try edit(
      path,
      """
      DROP INDEX audit_by_kind; DROP INDEX audit_by_id; DROP INDEX audit_by_author;
      DELETE FROM grdb_migrations WHERE identifier LIKE '4: %' OR identifier LIKE '5: %'
      """)
    let store = try AccountStore(path: path)
    await store.close()
    let file = try DatabaseQueue(path: path)
    for filter in ["kind = 'a'", "id = 'a'", "author = 'a'"] {
      let steps = try await file.read { database in
        try Row.fetchAll(
          database,
          sql: """
            EXPLAIN QUERY PLAN SELECT *, (time >= 5) AS wanted FROM audit
            WHERE position < 9 AND \(filter) ORDER BY position DESC LIMIT 1
            """
        ).map { row in try row.decode(String.self, forColumn: "detail") }
      }
      #expect(steps.count == 1, "\(filter): \(steps)")
      #expect(steps.first?.contains("USING INDEX audit_by_") == true, "\(filter): \(steps)")
    }
    try file.close()
  }

  @Test("the file is for its owner only")
  func mode() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    let store = try AccountStore(path: path)
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    await store.close()
  }

  @Test("a commit that a copy of the file holds is whole, at any moment of a writer's work")
  func killed() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    let store = try AccountStore(path: path)
    for round in 1...10 {
      _ = try await store.append(try (0..<3).map { try transfer("\(round)/\($0)", 1) })
      // A process that is killed now leaves these two files: the database and its log.
      let copy = scratch.path("copy-\(round).sqlite")
      for suffix in ["", "-wal"] {
        try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
      }
      let next = try AccountStore(path: copy)
      let rows = try await next.everything()
      #expect(rows.count == 3 * round)
      #expect(try await next.append([try transfer("1/0", 1)]) == [.alreadyPresent(position: 1)])
      await next.close()
    }
    await store.close()
  }
}
