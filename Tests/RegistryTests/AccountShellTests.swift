import Access
import ClusterModel
import Limits
import Logging
import Money
import RegistryCore
import Store
import Testing

@testable import RegistryService

@Suite("Accounts in the registry")
struct AccountShellTests: AccountShellSuite {
  @Test("messages that arrived together are confirmed once, after one write")
  func batch() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    try await setUp(shell)
    shell.receive(ask(1, 100))
    for number in UInt64(1)...3 { shell.receive(try settlement(number, billed: 10)) }
    #expect(await shell.processInbox())
    let answers = outbox.takeAnswers()
    #expect(answers.last == .settled(Self.gateway, through: 3))
    #expect(
      answers.count { if case .settled = $0 { true } else { false } } == 1, "\(answers)")
    #expect(try await store.balance(of: .margin) == MicroCredits(30))
    #expect(try await store.audit(until: .max).differences.isEmpty)
    #expect(await shell.processInbox() == false)
    await store.close()
  }

  /// Two keys of the organisation.
  private func keys() throws -> [KeyRecord] {
    let account = try #require(AccountPath("acme"))
    let hash = try #require(KeyHash([UInt8](repeating: 1, count: 32)))
    return try ["abcdefghijkl", "bbcdefghijkl"].map { id in
      KeyRecord(
        id: try #require(KeyID(id)), name: "k", account: account, hash: hash, scopes: [.chat])
    }
  }

  @Test("a key that is no longer among all keys is forgotten")
  func removedKey() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let keys = try keys()
    for present in [keys, [keys[0]], keys] {
      shell.receiveKeys(present)
      #expect(await shell.processInbox())
      for key in keys {
        let report = shell.spending(SpendingQuery(key: .key("\(key.id)"), days: 1))
        #expect(report.budgets.isEmpty != present.contains(key))
      }
    }
    await store.close()
  }

  @Test("the budgets of a key that no longer exists leave the book and the store")
  func budgetsOfRemovedKey() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let keys = try keys()
    shell.receiveKeys(keys)
    let terms = try BudgetTerms(amount: MicroCredits(9), window: BudgetWindow(.calendar, .day))
    for key in keys {
      let change = AccountChange.setKeyBudgets(key: "\(key.id)", budgets: [terms])
      _ = try await process(shell) {
        try await shell.change(change, expecting: .absent, by: Self.author)
      }
    }
    let settings = try await store.settings().count
    shell.receiveKeys([keys[1]])
    while await shell.processInbox() {}
    #expect(shell.read { $0.keyBudgets("abcdefghijkl") } == nil)
    #expect(shell.read { $0.keyBudgets("bbcdefghijkl") } != nil)
    #expect(try await store.settings().count == settings - 1)
    let removal = try #require(try await store.audit(AuditQuery(limit: 1)).first)
    #expect(removal.id.hasSuffix("abcdefghijkl") && removal.after == nil)
    await store.close()
  }

  @Test("a repeated settlement that only the store knows is confirmed without another start")
  func forgottenSettlement() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    try await setUp(shell)
    guard case .settlement(let report, _) = try settlement(1, billed: 10) else { return }
    // The transaction is in the store but not in the book, as if the book no longer remembered it.
    let transaction = try LedgerTransaction(
      id: report.lease.transactionID, kind: .correction, time: wall,
      entries: [
        LedgerEntry(account: .issued, amount: MicroCredits(-1)),
        LedgerEntry(account: .margin, amount: MicroCredits(1)),
      ])
    #expect(try await store.append([transaction]) == [.appended(position: 1)])
    shell.receive(.settlement(report, from: PeerID(name: "gateway-1", incarnation: 2)))
    #expect(await shell.processInbox())
    #expect(outbox.takeAnswers() == [.settled(Self.gateway, through: 1)])
    #expect(try await store.balance(of: .margin) == MicroCredits(1))
    await store.close()
  }

  @Test("prices are published again for gateways that missed them")
  func missedPrices() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    let first = try #require(outbox.tables.last)
    let count = outbox.tables.count
    shell.republishPrices()
    #expect(outbox.tables.dropFirst(count) == [first])
    await store.close()
  }

  @Test("a key that replaces another one has its budgets")
  func copiedBudgets() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let (old, new) = (try #require(KeyID("aaaaaaaaaaaa")), try #require(KeyID("bbbbbbbbbbbb")))
    let terms = try BudgetTerms(amount: MicroCredits(9), window: BudgetWindow(.rolling, .hour))
    _ = try await process(shell) {
      try await shell.change(
        .setKeyBudgets(key: "\(old)", budgets: [terms]), expecting: .any, by: Self.author)
    }
    try await process(shell) { try await shell.copyBudgets(of: old, to: new, by: "ann") }
    #expect(shell.read { $0.keyBudgets("\(new)") }?.budgets.map(\.terms) == [terms])
    await store.close()
  }

  @Test("a transfer that only the store remembers is not made again")
  func oldTransfer() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    try await setUp(shell)
    // The transfer is in the store but not in the book, as if the book no longer remembered it.
    _ = try await store.append([
      try LedgerTransaction(
        id: "admin/1", kind: .credit, time: wall,
        entries: [
          LedgerEntry(account: .issued, amount: MicroCredits(-5)),
          LedgerEntry(account: .organisation("acme"), amount: MicroCredits(5)),
        ])
    ])
    let same = AdminTransfer(id: "1", kind: .credit(MicroCredits(5), organisation: "acme"))
    #expect(try await process(shell) { try await shell.transfer(same) })
    let other = AdminTransfer(id: "1", kind: .credit(MicroCredits(6), organisation: "acme"))
    await #expect {
      try await process(shell) { try await shell.transfer(other) }
    } throws: { error in
      if case AccountShell.OrderError.refused(.repeatedID("1")) = error { true } else { false }
    }
    #expect(try await store.balance(of: .organisation("acme")) == MicroCredits(5))
    await store.close()
  }

  @Test("after a failed write nothing is sent, and a repeated message is served")
  func failedWrite() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    try await setUp(shell)
    try scratch.edit(
      "CREATE TRIGGER full BEFORE INSERT ON ledger_transactions "
        + "BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    shell.receive(ask(1, 100))
    _ = await shell.processInbox()
    #expect(outbox.takeAnswers().isEmpty)
    #expect(shell.read { $0.totalLeased } == .zero)
    let transfer = AdminTransfer(
      id: "1", kind: .credit(MicroCredits(5), organisation: "acme"))
    await #expect(throws: AccountShell.OrderError.self) {
      _ = try await process(shell) { try await shell.transfer(transfer) }
    }
    try scratch.edit("DROP TRIGGER full")
    // The accounts store no keys, so the key is sent again.
    let account = try #require(AccountPath("acme"))
    shell.receive(.key("k1", account: account, isActive: true))
    shell.receive(ask(1, 100))
    _ = await shell.processInbox()
    #expect(
      outbox.takeAnswers().contains(
        .granted(LeaseGrant(lease: lease, ask: 1, total: MicroCredits(100)))))
    #expect(try await process(shell) { try await shell.transfer(transfer) } == false)
    #expect(try await process(shell) { try await shell.transfer(transfer) })
    #expect(try await store.balance(of: .organisation("acme")) == MicroCredits(-95))
    await store.close()
  }

  @Test("the first failed write is followed at once, and further ones after a pause")
  func pacedReloads() {
    func pause(_ last: Instant?, _ now: Duration) -> Duration {
      AccountShell.reloadPause(after: last, now: .zero + now)
    }
    #expect(pause(nil, .seconds(5)) == .zero)
    #expect(pause(.zero, .zero) == .seconds(1))
    #expect(pause(.zero, .milliseconds(400)) == .milliseconds(600))
    #expect(pause(.zero, .seconds(9)) == .zero)
  }

  @Test("records, balances and leases survive a restart")
  func restart() async throws {
    let scratch = try Scratch()
    var store = try AccountStore(path: scratch.path)
    var shell = try await shell(store, Outbox())
    try await setUp(shell)
    let row = PriceRow(model: ModelID("m"), effectiveFrom: wall + 5, price: .free)
    let changes: [AccountChange] = [
      .setTeam(
        try #require(AccountPath("acme/research")), name: "R",
        budgets: [
          try BudgetTerms(
            amount: MicroCredits(1), window: BudgetWindow(.rolling, .hour), warnings: [500])
        ]),
      .setKeyBudgets(
        key: "k1",
        budgets: [
          try BudgetTerms(amount: MicroCredits(2_500_000), window: BudgetWindow(.calendar, .year))
        ]),
      .addPrice(row), .setUnknownPrice(.free),
      .setPayoutRule(
        try PayoutRule(
          reservationFee: MicroCredits(1), progressFee: MicroCredits(2), perMilleOfWinner: 200)),
    ]
    for change in changes {
      _ = try await process(shell) { [shell] in
        try await shell.change(change, expecting: .any, by: Self.author)
      }
    }
    shell.receive(ask(1, 100))
    _ = await shell.processInbox()
    let before = shell.read { $0 }
    await store.close()

    store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    shell = try await self.shell(store, outbox)
    let after = shell.read { $0 }
    #expect(Set(after.organisations) == Set(before.organisations))
    #expect(Set(after.teams()) == Set(before.teams()))
    #expect(after.keyBudgets("k1") == before.keyBudgets("k1"))
    #expect(after.keyBudgets("k1") != nil)
    #expect(after.priceBook.allRows == [row])
    #expect(after.unknownPrice == .free)
    #expect(after.payoutRule == before.payoutRule)
    #expect(after.totalLeased == MicroCredits(100))
    #expect(outbox.tables.map(\.epoch) == [7])
    #expect(outbox.tables.first?.rows == [row])
    await store.close()
  }

  @Test("a change that another admin has overtaken is refused with the present revision")
  func conflict() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let revision = try #require(shell.revision(of: .organisation("acme")))
    let change = AccountChange.setOrganisation(
      id: "acme", name: "New", isPrepaid: true, budgets: [])
    _ = try await process(shell) {
      try await shell.change(change, expecting: .revision(revision), by: Self.author)
    }
    let error = await #expect(throws: AccountShell.OrderError.self) {
      _ = try await process(shell) {
        try await shell.change(change, expecting: .revision(revision), by: Self.author)
      }
    }
    guard case .conflict(let current) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(current == shell.revision(of: .organisation("acme")))
    await store.close()
  }

  @Test("a change is not stored if its admin has left, and more changes than the limit are refused")
  func abandoned() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let author = Self.author
    func change(_ name: String) async throws {
      _ = try await shell.change(
        .setOrganisation(id: "acme", name: name, isPrepaid: false, budgets: []), expecting: .any,
        by: author)
    }
    var admins: [Task<Void, any Error>] = []
    let limit = Limits.waitingChanges.value
    for number in 0..<limit {
      admins.append(Task { try await change("\(number)") })
      while shell.waitingOrderCount <= number { await Task.yield() }
    }
    await #expect {
      try await change("one more")
    } throws: { error in
      guard case AccountShell.OrderError.failed(let failure) = error else { return false }
      return failure.code == .overloaded
    }
    for admin in admins.dropFirst() {
      admin.cancel()
      await #expect(throws: AccountShell.OrderError.self) { try await admin.value }
    }
    while await shell.processInbox() {}
    try await admins[0].value
    #expect(shell.read { $0.organisation("acme")?.name } == "0")
    #expect(shell.waitingOrderCount == 0)
    await store.close()
  }

  @Test("CSV fields are quoted, and no field begins as a formula")
  func csv() {
    #expect(LedgerExport.field("a\"b,c") == "\"a\"\"b,c\"")
    #expect(LedgerExport.field("=1+2") == "\"'=1+2\"")
    #expect(LedgerExport.field("a\"\u{301},b") == "\"a\"\"\u{301},b\"")
    for text in ["=\u{301}1", "\r\n=1", "\n=1", "@\u{FE0F}x"] {
      #expect(LedgerExport.field(text) == "\"'\(text)\"")
    }
  }

  @Test("the registry reports a key's spending, and its budgets as metrics")
  func spending() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    #expect(shell.budgetFamilies.isEmpty)
    try await setUp(shell)
    shell.receive(ask(1, 100))
    shell.receive(try settlement(1, billed: 10))
    _ = await shell.processInbox()
    let report = shell.spending(SpendingQuery(key: .key("k1"), days: 1))
    #expect(report.rows.map(\.model) == ["m"])
    #expect(report.rows.map(\.cost) == [MicroCredits(10)])
    #expect(report.budgets.map(\.spent) == [MicroCredits(10)])
    let families = shell.budgetFamilies
    #expect(families.map(\.name) == ["tutti_registry_budget_spent_ratio"])
    let sample = try #require(families.first?.samples.first)
    #expect(sample.labels == [Attribute("budget", "org/acme/day-calendar")])
    #expect(sample.value == 0.01)
    await store.close()
  }
}
