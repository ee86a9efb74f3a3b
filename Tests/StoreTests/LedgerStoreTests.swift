import ClusterModel
import Foundation
import GRDB
import Limits
import Money
import Store
import Testing

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
    // There are few different times, so that pages end between transactions of the same time.
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
    // The limit ended with its process, so there is room again.
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
