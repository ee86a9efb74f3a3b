import Access
import ClusterModel
import Money
import RegistryCore
import Store
import Testing

@testable import RegistryService

@Suite("Checkpoints of the registry's accounts")
struct AccountCheckpointTests: AccountShellSuite {
  /// A store with a lease and three settlements, and a checkpoint that includes all of them.
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
    // After this change, a replay of the whole ledger fails.
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

  @Test("a store that fails for a moment does not cost a valid checkpoint")
  func checkpointOfFailingStore() async throws {
    let scratch = try Scratch()
    let store = try await storeWithCheckpoint(scratch)
    let failing = FailingStore(store)
    failing.failNextPage(Failure(.storeUnreachable, "away"))
    let shell = try await shell(failing, Outbox())
    #expect(shell.read { $0.totalLeased } == MicroCredits(70))
    #expect(try await store.checkpoint()?.position == 4)
    await store.close()
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
}
