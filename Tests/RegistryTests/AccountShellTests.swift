import Access
import ClusterModel
import Foundation
import GRDB
import Logging
import Money
import RegistryCore
import Store
import Synchronization
import Testing

@testable import RegistryService

@Suite("Accounts in the registry")
struct AccountShellTests {
  private static let gateway = PeerID(name: "gateway-1", incarnation: 1)
  private static let author = ChangeAuthor(name: "ann", time: 1)
  private let lease = LeaseID(gateway: gateway, number: 1)
  private let wall: Int64 = 1_790_000_000_000

  /// A file in a folder of its own, which is removed at the end.
  private final class Scratch {
    let folder = NSTemporaryDirectory() + "tutti-accounts-\(UUID().uuidString)"
    var path: String { folder + "/accounts.sqlite" }

    init() throws {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func edit(_ sql: String) throws {
      try DatabaseQueue(path: path).write { try $0.execute(sql: sql) }
    }
  }

  /// Messages of a shell.
  private final class Outbox: Sendable {
    private let state = Mutex<(answers: [LeaseAnswer], tables: [PriceTable])>(([], []))

    var outlet: AccountShell.Outlet {
      AccountShell.Outlet(
        send: { [self] answer, _ in state.withLock { $0.answers.append(answer) } },
        publish: { [self] table in state.withLock { $0.tables.append(table) } })
    }

    /// Answers since the last call.
    func takeAnswers() -> [LeaseAnswer] {
      state.withLock { state in
        defer { state.answers = [] }
        return state.answers
      }
    }

    var tables: [PriceTable] { state.withLock { $0.tables } }
  }

  private func shell(
    _ store: any AccountStoring, _ outbox: Outbox, checkpointInterval: Int = 50_000
  ) async throws -> AccountShell {
    try await AccountShell(
      store: store, epoch: 7, outlet: outbox.outlet, logger: Logger(label: "test"),
      checkpointInterval: checkpointInterval,
      now: { [wall] in AccountTime(wall: wall, instant: .zero) })
  }

  /// Processes one order while its caller waits.
  private func process<Value: Sendable>(
    _ shell: AccountShell, _ order: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    // The shell is never cancelled within a message: it would not read the store again.
    let isDone = Mutex(false)
    let outcome = Task {
      defer { isDone.withLock { $0 = true } }
      return try await order()
    }
    while !isDone.withLock(\.self) {
      _ = await shell.processInbox()
      await Task.yield()
    }
    return try await outcome.value
  }

  private func setUp(_ shell: AccountShell) async throws {
    let terms = try BudgetTerms(
      amount: MicroCredits(1_000), window: BudgetWindow(.calendar, .day))
    _ = try await process(shell) {
      try await shell.change(
        .setOrganisation(id: "acme", name: "Acme", isPrepaid: false, budgets: [terms]),
        expecting: .absent, by: Self.author)
    }
    let account = try #require(AccountPath("acme"))
    shell.receive(.key("k1", account: account, isActive: true))
    _ = await shell.processInbox()
  }

  private func ask(_ number: UInt64, _ amount: Int64, granted: Int64 = 0) -> AccountBook.Event {
    .lease(
      .ask(
        LeaseAsk(
          lease: lease, key: .key("k1"), number: number, granted: MicroCredits(granted),
          minimum: MicroCredits(1),
          worst: MicroCredits(amount), want: MicroCredits(amount))), from: Self.gateway)
  }

  private func settlement(_ number: UInt64, billed: Int64) throws -> AccountBook.Event {
    let usage = try TokenUsage(prompt: 0, completion: billed)
    return .settlement(
      Settlement(
        lease: LeaseSettlement(
          lease: lease, key: .key("k1"), number: number, request: number,
          hold: MicroCredits(billed), billed: MicroCredits(billed)),
        trace: "t", model: ModelID("m"), admittedAt: wall,
        price: try TokenPrice(
          input: .zero, cachedInput: .zero, output: MicroCredits(1_000_000)),
        answers: [SettledAnswer(usage: usage, attempts: [])]), from: Self.gateway)
  }

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

  @Test("a key that is no longer among all keys is forgotten")
  func removedKey() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let account = try #require(AccountPath("acme"))
    let hash = try #require(KeyHash([UInt8](repeating: 1, count: 32)))
    let keys = try ["abcdefghijkl", "bbcdefghijkl"].map { id in
      KeyRecord(
        id: try #require(KeyID(id)), name: "k", account: account, hash: hash, scopes: [.chat])
    }
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
    // The book does not know it, as after many later transactions.
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
    // A key is not stored by the accounts.
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
    #expect(after.organisations == before.organisations)
    #expect(after.teams() == before.teams())
    #expect(after.keyBudgets("k1") == before.keyBudgets("k1"))
    #expect(after.keyBudgets("k1") != nil)
    #expect(after.prices == [row])
    #expect(after.unknownPrice == .free)
    #expect(after.payoutRule == before.payoutRule)
    #expect(after.totalLeased == MicroCredits(100))
    #expect(outbox.tables.map(\.epoch) == [7])
    #expect(outbox.tables.first?.rows == [row])
    await store.close()
  }

  /// A store with a lease and three settlements, and a checkpoint of all.
  private func storeWithCheckpoint(_ scratch: Scratch) async throws -> AccountStore {
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    shell.receive(ask(1, 100))
    for number in UInt64(1)...3 { shell.receive(try settlement(number, billed: 10)) }
    _ = await shell.processInbox()
    await shell.saveLastCheckpoint()
    return store
  }

  @Test("a start reads the checkpoint of the last end, and only transactions after it")
  func startFromCheckpoint() async throws {
    let scratch = try Scratch()
    var store = try await storeWithCheckpoint(scratch)
    var shell = try await shell(store, Outbox())
    // Keys come from their own records, not from the ledger.
    let account = try #require(AccountPath("acme"))
    shell.receive(.key("k1", account: account, isActive: true))
    shell.receive(ask(2, 200, granted: 100))
    _ = await shell.processInbox()
    let before = shell.read { $0 }
    #expect(before.totalLeased == MicroCredits(270))
    await store.close()
    // A replay of the whole ledger would now fail.
    try scratch.edit(
      "DROP TRIGGER ledger_transactions_delete; DROP TRIGGER ledger_entries_delete; "
        + "DELETE FROM ledger_entries WHERE position < 3; "
        + "DELETE FROM ledger_transactions WHERE position < 3")
    store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    shell = try await self.shell(store, outbox)
    let after = shell.read { $0 }
    #expect(after.transactionCount == before.transactionCount)
    #expect(after.totalLeased == before.totalLeased)
    #expect(after.checkpoint?.differences(from: try #require(before.checkpoint)) == [])
    // A settlement from before the checkpoint is known, and a new one is charged.
    shell.receive(try settlement(2, billed: 10))
    shell.receive(try settlement(4, billed: 10))
    _ = await shell.processInbox()
    #expect(outbox.takeAnswers().last == .settled(Self.gateway, through: 4))
    #expect(shell.read { $0.balance(of: .margin) } == MicroCredits(40))
    await store.close()
  }

  @Test("a damaged checkpoint is removed, and the whole ledger is replayed")
  func damagedCheckpoint() async throws {
    let damages = [
      "json = replace(json, '\"acme', '\"emca')", "ids = zeroblob(length(ids))",
      "checksum = zeroblob(32)", "json = 'no JSON'", "position = position + 1",
    ]
    for damage in damages {
      let scratch = try Scratch()
      let store = try await storeWithCheckpoint(scratch)
      try scratch.edit("UPDATE checkpoints SET \(damage)")
      let audit = try await store.audit(until: .max)
      #expect(audit.differences.count == 1, "\(damage): \(audit.differences)")
      let shell = try await shell(store, Outbox())
      #expect(shell.read { $0.totalLeased } == MicroCredits(70), "\(damage)")
      #expect(shell.read { $0.transactionCount } == 4, "\(damage)")
      #expect(try await store.checkpoint() == nil, "\(damage)")
      #expect(try await store.audit(until: .max).differences.isEmpty, "\(damage)")
      await store.close()
    }
  }

  @Test("the proof of the ledger finds a checkpoint that another ledger leads to")
  func wrongCheckpoint() async throws {
    let (scratch, otherScratch) = (try Scratch(), try Scratch())
    let store = try await storeWithCheckpoint(scratch)
    let other = try await storeWithCheckpoint(otherScratch)
    let shell = try await shell(other, Outbox())
    let transfer = AdminTransfer(id: "1", kind: .credit(MicroCredits(5), organisation: "acme"))
    _ = try await process(shell) { try await shell.transfer(transfer) }
    await shell.saveLastCheckpoint()
    #expect(try await other.audit(until: .max).differences.isEmpty)
    guard case .intact(let checkpoint) = try await other.checkpoint() else {
      Issue.record("no checkpoint was written")
      return
    }
    try await store.save(checkpoint)
    let audit = try await store.audit(until: .max)
    #expect(
      audit.differences.map(\.description) == [
        "the checkpoint at transaction 5 covers transactions that the ledger does not have"
      ])
    await store.close()
    await other.close()
  }

  @Test("a running registry writes checkpoints by itself, and the proof agrees with them")
  func checkpointsWhileRunning() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox(), checkpointInterval: 2)
    try await setUp(shell)
    let running = Task { try await shell.run() }
    shell.receive(ask(1, 100))
    shell.receive(try settlement(1, billed: 10))
    while try await store.checkpoint() == nil { await Task.yield() }
    running.cancel()
    _ = try? await running.value
    #expect(try await store.audit(until: .max).differences.isEmpty)
    await store.close()
  }

  @Test("while the store is away every order is refused, and messages are served afterwards")
  func storeAway() async throws {
    let scratch = try Scratch()
    let store = FailingStore(try AccountStore(path: scratch.path))
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    try await setUp(shell)
    let running = Task { try await shell.run() }
    store.setFault(Failure(.storeUnreachable, "away"))
    shell.receive(ask(1, 100))
    for number in 1...3 {
      let transfer = AdminTransfer(
        id: "\(number)", kind: .credit(MicroCredits(5), organisation: "acme"))
      let error = await #expect(throws: AccountShell.OrderError.self) {
        _ = try await shell.transfer(transfer)
      }
      guard case .failed(let failure) = error else {
        Issue.record("\(String(describing: error))")
        break
      }
      #expect(failure.code == .storeUnreachable)
    }
    #expect(outbox.takeAnswers().isEmpty)
    store.setFault(nil)
    let account = try #require(AccountPath("acme"))
    shell.receive(.key("k1", account: account, isActive: true))
    shell.receive(ask(1, 100))
    while try await store.transactions(after: 0, limit: 9).isEmpty { await Task.yield() }
    #expect(try await store.balance(of: .organisation("acme"), at: nil) == MicroCredits(-100))
    running.cancel()
    _ = try? await running.value
    await store.close()
  }

  @Test("a registry whose store another one has taken over ends, and acknowledges nothing")
  func storeTaken() async throws {
    let scratch = try Scratch()
    let store = FailingStore(try AccountStore(path: scratch.path))
    let outbox = Outbox()
    let shell = try await shell(store, outbox)
    try await setUp(shell)
    store.setFault(Failure(.storeTaken, "Another registry has opened the database."))
    shell.receive(ask(1, 100))
    let error = await #expect(throws: ProcessFailure.self) { try await shell.run() }
    #expect(error?.status == .unavailable)
    #expect(error?.message.contains("Another registry") == true)
    #expect(outbox.takeAnswers().isEmpty)
    await store.close()
  }

  @Test("a registry that writes nothing ends too if another one takes over its store")
  func storeTakenWhileIdle() async throws {
    let scratch = try Scratch()
    let store = FailingStore(try AccountStore(path: scratch.path))
    let shell = try await AccountShell(
      store: store, epoch: 7, outlet: Outbox().outlet, logger: Logger(label: "test"),
      writerCheckInterval: .milliseconds(1),
      now: { [wall] in AccountTime(wall: wall, instant: .zero) })
    store.setFault(Failure(.storeTaken, "Another registry has opened the database."))
    let error = await #expect(throws: ProcessFailure.self) { try await shell.run() }
    #expect(error?.message.contains("Another registry") == true)
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

  @Test("CSV fields are quoted, and no field begins as a formula")
  func csv() {
    #expect(LedgerExport.field("a\"b,c") == "\"a\"\"b,c\"")
    #expect(LedgerExport.field("=1+2") == "\"'=1+2\"")
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
