import Access
import ClusterModel
import Logging
import Money
import RegistryCore
import ServiceKit
import Store
import Testing

@testable import RegistryService

@Suite("Accounts whose store fails")
struct AccountStoreFaultTests: AccountShellSuite {
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

  @Test("a registry grants nothing from a ledger that another one has changed, and reads it again")
  func changedLedger() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let outbox = Outbox()
    let first = try await shell(store, Outbox())
    try await setUp(first)
    let second = try await shell(store, outbox)
    let account = try #require(AccountPath("acme"))
    second.receive(.key("k1", account: account, isActive: true))
    _ = await second.processInbox()
    first.receive(ask(1, 600))
    _ = await first.processInbox()
    // The second registry does not know the first one's lease, so it counts the whole budget of
    // 1,000 as left.
    let gateway = PeerID(name: "gateway-2", incarnation: 1)
    let all = LeaseAsk(
      lease: LeaseID(gateway: gateway, number: 1), key: .key("k1"), number: 1,
      minimum: MicroCredits(600), worst: MicroCredits(600), want: MicroCredits(600))
    second.receive(.lease(.ask(all), from: gateway))
    _ = await second.processInbox()
    #expect(outbox.takeAnswers().isEmpty)
    #expect(second.read { $0.totalLeased } == MicroCredits(600))
    #expect(try await store.transactions(after: 0, limit: 9).count == 1)
    // The accounts store no keys, so the key is sent again.
    second.receive(.key("k1", account: account, isActive: true))
    second.receive(.lease(.ask(all), from: gateway))
    _ = await second.processInbox()
    #expect(!outbox.takeAnswers().contains { if case .granted = $0 { true } else { false } })
    #expect(try await store.transactions(after: 0, limit: 9).count == 1)
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
}
