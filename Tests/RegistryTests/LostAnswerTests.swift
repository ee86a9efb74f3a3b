import Access
import ClusterModel
import Logging
import Money
import RegistryCore
import ServiceLifecycle
import Store
import Testing

@testable import RegistryService

@Suite("Changes of which the store's answer was lost")
struct LostAnswerTests {
  private let scratch: TestRegistry.Scratch
  private let store: FailingStore
  private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  init() throws {
    scratch = try TestRegistry.Scratch()
    store = FailingStore(try AccountStore(path: scratch.path + "/accounts.sqlite"))
  }

  /// Runs a service during the body.
  private func run(
    _ service: any Service, _ body: () async throws -> Void
  ) async throws {
    let running = Task { try await service.run() }
    let result: Result<Void, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    running.cancel()
    _ = try? await running.value
    try result.get()
  }

  /// Makes a change whose answer is lost.
  private func lose(_ change: () async throws -> Void) async {
    store.loseAnswers()
    let error = await #expect(throws: Failure.self) { try await change() }
    #expect(error?.code == .storeUnreachable)
    #expect(error?.message.contains("It is unknown whether") == true)
    store.setFault(nil)
  }

  @Test("a lost change of the settings is in force when its admin reads them")
  func settings() async throws {
    let keeper = try await SettingsKeeper(
      store: store, epoch: 1, logger: logger, publish: { _ in })
    try await run(keeper) {
      await lose {
        _ = try await keeper.change([.gatewayRequests: .integer(7)], expected: nil, by: "ann")
      }
      #expect(keeper.version.overrides[.gatewayRequests] == .integer(7))
      let version = try await keeper.change(
        [.dispatcherPlans: .integer(8)], expected: nil, by: "ann")
      #expect(version.overrides[.gatewayRequests] == .integer(7))
      #expect(version.overrides[.dispatcherPlans] == .integer(8))
    }
    await store.close()
  }

  @Test("a lost change of a model is in force when its admin reads it")
  func models() async throws {
    let shell = try await ModelShell(store: store, logger: logger) { _, _ in }
    let model = ModelID("m")
    let hides = ModelPatch(isHidden: true)
    let pins = ModelPatch(hosts: [HostID("gpu")])
    try await run(shell) {
      await lose {
        try await shell.change(by: "ann") { models throws(Failure) in
          try models.patch(model, hides)
        }
      }
      #expect(shell.models[model]?.record.isHidden == true)
      try await shell.change(by: "ann") { models throws(Failure) in
        try models.patch(model, pins)
      }
      #expect(shell.models[model]?.record.isHidden == true)
      #expect(shell.models[model]?.record.hosts == [HostID("gpu")])
    }
    await store.close()
  }

  @Test("without an answer of the audit log, a host is not changed and the error says so")
  func hosts() async throws {
    let hosts = try HostStore(path: scratch.path + "/registry.sqlite")
    let audited = AuditedHosts(store: hosts, log: store, logger: logger)
    let old = HostRegistry(epoch: 1, now: .zero)
    var new = old
    let added = try new.add(HostDraft(url: "http://h:1"), now: .zero).directives
    store.loseAnswers()
    let error = await #expect(throws: Failure.self) {
      try await audited.apply(added, to: old, by: "ann")
    }
    #expect(error?.code == .storeUnreachable)
    #expect(error?.message.contains("the host was not changed") == true)
    #expect(error?.message.contains("unknown") == false)
    #expect(try await hosts.hosts().isEmpty)
    await hosts.close()
    await store.close()
  }

  @Test("a lost new key is in force when its admin reads the keys")
  func keys() async throws {
    let issuer = try await KeyIssuer(
      store: store, dataDirectory: scratch.path, epoch: 1, logger: logger, publish: { _ in })
    let create: @Sendable (String) async throws -> Void = { name in
      _ = try await issuer.change(by: "ann") { keys, pepper, now throws(Failure) in
        try keys.create(
          KeyPatch(name: name), random: KeyPepper.random(APIKey.randomByteCount), pepper: pepper,
          at: now)
      }
    }
    // The issuer closes the store when `run` stops it.
    try await run(issuer) {
      func names() -> [String] {
        issuer.page(after: nil, limit: 9).entries.map(\.record.name).sorted()
      }
      await lose { try await create("lost") }
      #expect(names() == ["lost"])
      try await create("next")
      #expect(names() == ["lost", "next"])
    }
  }
}

@Suite("Orders about money of which the store's answer was lost")
struct LostMoneyTests: AccountShellSuite {
  @Test("an admin learns that the outcome of a transfer is unknown, and may repeat it with its id")
  func transfer() async throws {
    let scratch = try Scratch()
    let store = FailingStore(try AccountStore(path: scratch.path))
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let transfer = AdminTransfer(id: "1", kind: .credit(MicroCredits(5), organisation: "acme"))
    let lab = try #require(AccountPath("acme/lab"))
    let change = AccountChange.setTeam(lab, name: "Lab", budgets: [])
    store.loseAnswers()
    let lost: [@Sendable () async throws -> Void] = [
      { _ = try await shell.transfer(transfer) },
      { _ = try await shell.change(change, expecting: .absent, by: Self.author) },
    ]
    for order in lost {
      let error = await #expect(throws: AccountShell.OrderError.self) {
        try await process(shell) { try await order() }
      }
      guard case .failed(let failure) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(failure.code == .storeUnreachable)
      #expect(failure.message.contains("It is unknown whether"))
    }
    store.setFault(nil)
    #expect(try await process(shell) { try await shell.transfer(transfer) })
    #expect(try await store.balance(of: .organisation("acme"), at: nil) == MicroCredits(5))
    #expect(shell.read { $0.team(lab) } != nil)
    await store.close()
  }
}
