import ClusterModel
import Foundation
import GRDB
import Limits
import Money
import Store
import Testing

extension AccountStore {
  /// Every row of a replay.
  fileprivate func everything() async throws -> [LedgerRow] {
    var rows: [LedgerRow] = []
    for try await page in replay() { rows += page }
    return rows
  }
}

/// A transfer between two accounts.
private func transfer(
  _ id: String, _ amount: Int64, from payer: AccountID = AccountID("org/acme"),
  to payee: AccountID = AccountID("margin"), at time: Int64 = 1_000, note: String = ""
) throws -> LedgerTransaction {
  try LedgerTransaction(
    id: id, kind: .settle, time: time,
    entries: [
      LedgerEntry(account: payer, amount: MicroCredits(-amount)),
      LedgerEntry(account: payee, amount: MicroCredits(amount)),
    ], note: note)
}

/// Changes the file as another program might.
private func edit(_ path: String, _ sql: String) throws {
  let file = try DatabaseQueue(path: path)
  defer { try? file.close() }
  try file.writeWithoutTransaction { try $0.execute(sql: sql) }
}

private func failure(_ body: () async throws -> Void) async -> Failure? {
  do {
    try await body()
    return nil
  } catch {
    return error as? Failure
  }
}

@Suite("The ledger on disk")
struct LedgerStoreTests {
  private static let acme = AccountID("org/acme")

  @Test("transactions survive a restart, in order and whole")
  func survive() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    let transactions = [
      try transfer("a", 5, note: "{\"model\":\"m\"}"),
      try LedgerTransaction(id: "free", kind: .settle, time: 2_000, entries: []),
      try transfer("b", .max, at: .max), try transfer("ü — ∑", 0, at: .min),
    ]
    let store = try AccountStore(path: path)
    let results = try await store.append(transactions)
    #expect(results == (1...4).map { LedgerAppend.appended(position: $0) })
    await store.close()
    let again = try AccountStore(path: path)
    let rows = try await again.everything()
    #expect(rows.map(\.transaction) == transactions)
    #expect(rows.map(\.position) == [1, 2, 3, 4])
    await again.close()
  }

  @Test("a repeated transaction is recorded once, and another one with its id is a conflict")
  func idempotent() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let first = try transfer("a", 5)
    _ = try await store.append([first])
    let results = try await store.append([
      first, try transfer("a", 5, at: 9_000, note: "sent again"), try transfer("a", 6),
      try transfer("b", 1), try transfer("b", 1), try transfer("b", 2),
      try LedgerTransaction(id: "a", kind: .correction, time: 1_000, entries: first.entries),
    ])
    #expect(
      results == [
        .alreadyPresent(position: 1), .alreadyPresent(position: 1), .conflict(position: 1),
        .appended(position: 2), .alreadyPresent(position: 2), .conflict(position: 2),
        .conflict(position: 1),
      ])
    let rows = try await store.everything()
    #expect(rows.map(\.transaction) == [first, try transfer("b", 1)])
    await store.close()
  }

  @Test("a transaction with an unusable name is refused; the others are recorded")
  func names() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let long = String(repeating: "x", count: Limits.transactionIDBytes.value)
    let entry = LedgerEntry(account: Self.acme, amount: .zero)
    let results = try await store.append([
      try transfer(long, 1), try transfer("a\0b", 1),
      try transfer("c", 1, to: AccountID("host/\n")),
      try LedgerTransaction(
        id: "f", kind: .settle, time: 1,
        entries: Array(repeating: entry, count: Limits.transactionEntries.value)),
    ])
    let refused = results.map { if case .refused = $0 { true } else { false } }
    #expect(refused == [false, true, true, false])
    #expect(try await store.everything().map(\.transaction.id) == [long, "f"])
    await store.close()
  }

  @Test("SQL that changes or removes a row is refused by the file itself")
  func appendOnly() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    let store = try AccountStore(path: path)
    _ = try await store.append([try transfer("a", 5)])
    _ = try await store.apply(
      [.appendPrice(json: "{}")], by: ChangeAuthor(name: "admin", time: 1))
    let statements = [
      "UPDATE ledger_transactions SET note = 'x'", "DELETE FROM ledger_transactions",
      "REPLACE INTO ledger_transactions VALUES (9, 'a', 'settle', 1, 0, '')",
      "REPLACE INTO ledger_transactions VALUES (1, 'z', 'settle', 1, 0, '')",
      "UPDATE ledger_entries SET amount = 0", "DELETE FROM ledger_entries",
      "REPLACE INTO ledger_entries VALUES (1, 0, 1, 'margin', 0)",
      "INSERT INTO ledger_entries VALUES (7, 0, 1, 'margin', 0)",
      "INSERT INTO ledger_entries VALUES (1, 2, 1, 'margin', 'much')",
      "UPDATE prices SET record = ''", "DELETE FROM prices",
      "REPLACE INTO prices VALUES (1, '', 1)", "UPDATE audit SET author = ''",
      "DELETE FROM audit", "REPLACE INTO audit VALUES (1, 1, '', '', '', NULL, NULL)",
    ]
    for statement in statements {
      #expect(throws: DatabaseError.self, "\(statement)") { try edit(path, statement) }
    }
    #expect(try await store.everything().map(\.transaction) == [try transfer("a", 5)])
    await store.close()
  }

  @Test("balances are the sums of entries up to a time, that time included")
  func balances() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    _ = try await store.append([
      try transfer("a", 5, at: 10), try transfer("b", 7, at: 20),
      try transfer("late", 100, to: AccountID("host/gpu"), at: 15),
    ])
    #expect(try await store.balance(of: Self.acme) == MicroCredits(-112))
    #expect(try await store.balance(of: Self.acme, at: 9) == .zero)
    #expect(try await store.balance(of: Self.acme, at: 10) == MicroCredits(-5))
    #expect(try await store.balance(of: Self.acme, at: 19) == MicroCredits(-105))
    #expect(try await store.balance(of: AccountID("never")) == .zero)
    let all = try await store.balances()
    #expect(all.map(\.account.name) == ["host/gpu", "margin", "org/acme"])
    #expect(all.map(\.balance.count) == [100, 12, -112])
    let old = try await store.balances(at: 10)
    #expect(old.map(\.account.name) == ["margin", "org/acme"])
    let page = try await store.balances(after: AccountID("host/gpu"), limit: 1)
    #expect(page.map(\.account.name) == ["margin"])
    await store.close()
  }

  @Test("a balance that exceeds 64 bits is an error and no number")
  func overflow() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    _ = try await store.append([try transfer("a", .max), try transfer("b", .max)])
    let failure = await failure { _ = try await store.balance(of: AccountID("margin")) }
    #expect(failure?.code == .storeFailed)
    #expect(failure?.message.contains("overflow") == true)
    await store.close()
  }

  @Test(
    "pages have every transaction of an account and a time once, in either order",
    arguments: [LedgerQuery.Order.oldestFirst, .latestFirst])
  func pages(order: LedgerQuery.Order) async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    var random = SplitMix64(seed: 7)
    let accounts = (0..<4).map { AccountID("org/\($0)") }
    // Few different times, so that pages end between transactions of the same time.
    let transactions = try (0..<200).map { index in
      try transfer(
        "t\(index)", Int64(index), from: accounts[Int.random(in: 0..<4, using: &random)],
        to: accounts[Int.random(in: 0..<4, using: &random)],
        at: Int64.random(in: 0..<5, using: &random))
    }
    _ = try await store.append(transactions)
    for (account, times) in [
      (accounts[1], 0..<5), (accounts[2], 1..<3), (nil, 2..<5), (nil, .min..<(.max)),
      (AccountID("never"), 0..<5),
    ] as [(AccountID?, Range<Int64>)] {
      var query = LedgerQuery(account: account, times: times, order: order, limit: 7)
      var found: [LedgerRow] = []
      for _ in 0..<100 {
        let page = try await store.transactions(query)
        #expect(page.rows.count <= 7)
        found += page.rows
        query.after = page.next
        if page.next == nil { break }
      }
      let expected = transactions.enumerated().filter { _, transaction in
        times.contains(transaction.time)
          && (account == nil || transaction.entries.contains { $0.account == account })
      }.sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
      let ids = expected.map(\.id)
      #expect(
        found.map(\.transaction.id) == (order == .oldestFirst ? ids : ids.reversed()))
    }
    await store.close()
  }

  @Test("a page has at most the limit's rows, whatever a caller asks for")
  func pageLimit() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let count = Limits.ledgerPage.value + 10
    _ = try await store.append(try (1...count).map { try transfer("\($0)", 1) })
    #expect(try await store.transactions(after: 0, limit: .max).count == Limits.ledgerPage.value)
    let query = LedgerQuery(limit: .max)
    #expect(try await store.transactions(query).rows.count == Limits.ledgerPage.value)
    #expect(try await store.transactions(after: 3, limit: -1).map(\.position) == [4])
    #expect(try await store.everything().count == count)
    #expect(try await store.transactions(after: .max).isEmpty)
    await store.close()
  }

  @Test(
    "a replay of a damaged ledger ends with the place of the damage",
    arguments: [
      (
        "DELETE FROM ledger_entries WHERE position = 2 AND line = 1", "position 2", "1 of 2 entries"
      ),
      ("UPDATE ledger_entries SET amount = 9 WHERE position = 2 AND line = 1", "b", "zero"),
      ("UPDATE ledger_transactions SET kind = 'gift' WHERE position = 3", "position 3", "kind"),
      (
        "DELETE FROM ledger_entries WHERE position = 2; "
          + "DELETE FROM ledger_transactions WHERE position = 2", "position 2", "no transaction"
      ),
      (
        "DELETE FROM ledger_entries WHERE position = 3; "
          + "DELETE FROM ledger_transactions WHERE position = 3", "position 3", "no transaction"
      ),
    ])
  func damaged(sql: String, place: String, fault: String) async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    var store = try AccountStore(path: path)
    _ = try await store.append([
      try transfer("a", 1), try transfer("b", 2), try transfer("c", 3),
    ])
    await store.close()
    for table in ["ledger_entries", "ledger_transactions"] {
      try edit(path, "DROP TRIGGER \(table)_update; DROP TRIGGER \(table)_delete")
    }
    try edit(path, sql)
    store = try AccountStore(path: path)
    let failure = await failure { _ = try await store.everything() }
    #expect(failure?.code == .storeDamaged)
    let message = try #require(failure).message
    #expect(message.contains(place) && message.contains(fault) && message.contains(path))
    await store.close()
  }

  @Test("a disk that takes no more bytes is reported, and every acknowledged batch is whole")
  func fullDisk() async throws {
    let scratch = try Scratch()
    await #expect(processExitsWith: .success) {
      [path = scratch.path("accounts.sqlite") as String] in
      let store = try AccountStore(path: path)
      // The kernel refuses bytes after this size in every file of the process, as a full disk does.
      var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
      #if os(Linux)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
      #else
        let resource = RLIMIT_FSIZE
      #endif
      #expect(unsafe setrlimit(resource, &limit) == 0)
      signal(SIGXFSZ, SIG_IGN)
      let note = String(repeating: "x", count: 10_000)
      var acknowledged = 0
      let failure = await failure {
        for batch in 0..<1_000 {
          _ = try await store.append(
            try (0..<4).map { try transfer("\(batch)/\($0)", 1, note: note) })
          acknowledged += 1
        }
      }
      #expect(failure?.code == .storeFailed)
      #expect(failure?.message.contains(path) == true)
      #expect(acknowledged > 0)
      #expect(try await store.everything().count == acknowledged * 4)
    }
    // There is room again.
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let rows = try await store.everything()
    #expect(rows.count.isMultiple(of: 4) && !rows.isEmpty)
    let next = Int64(rows.count + 1)
    #expect(try await store.append([try transfer("next", 2)]) == [.appended(position: next)])
    await store.close()
  }

  @Test("concurrent writers of one id record it once")
  func concurrent() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let results = try await withThrowingTaskGroup(of: [LedgerAppend].self) { group in
      for writer in 0..<8 {
        group.addTask {
          try await store.append([
            try transfer("shared", 5, at: Int64(writer)), try transfer("own \(writer)", 1),
          ])
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    let appended = results.filter { if case .appended = $0[0] { true } else { false } }
    #expect(appended.count == 1)
    let rows = try await store.everything()
    #expect(rows.map(\.position) == (1...9).map { Int64($0) })
    #expect(try await store.balance(of: Self.acme) == MicroCredits(-13))
    await store.close()
  }
}

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
      // Database and log as a process that is killed now leaves them.
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
