import Access
import Bus
import BusCore
import ClusterModel
import ClusterTesting
import GatewayCore
import Hummingbird
import Inference
import Logging
import Money
import OverloadCore
import Synchronization
import Telemetry
import Testing

@testable import GatewayService
@testable import ServiceKit

/// The keys of a test's cluster, and their changes.
private struct TestKeys {
  let record: KeyRecord

  init(expiresAt: WallMilliseconds? = nil) throws {
    record = KeyRecord(
      id: try #require(KeyID("abcdefghijkl")), name: "test",
      account: try #require(AccountPath("acme")),
      hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: [.chat, .plans],
      expiresAt: expiresAt)
  }

  /// Publishes the key in a state. `nil` means that the key was removed.
  func publish(
    _ state: KeyState?, revision: UInt64, to resources: GatewayResources
  ) throws {
    var record = record
    if let state { record.state = state }
    resources.context.adopt(
      .accessTablePage(
        AccessTablePage(
          version: AccessTableVersion(epoch: 1, revision: revision), page: 0, pages: 1,
          isOpen: false, pepper: try #require(KeyPepper(0..<32)),
          records: state == nil ? [] : [record])))
  }

  static func publish(
    _ policy: RevokedStreams, revision: UInt64 = 1, to resources: GatewayResources
  ) {
    var overrides = RuntimeOverrides()
    overrides.set(.revokedStreams, to: .choice(policy.rawValue))
    resources.context.adopt(
      .settingsTable(
        RuntimeSettingsTable(epoch: 1, revision: revision, overrides: overrides)))
  }
}

/// Messages of the failures with which answers were ended.
private final class Endings: Sendable {
  private let messages = Mutex<[String]>([])

  var all: [String] { messages.withLock(\.self) }

  func add(_ message: String) { messages.withLock { $0.append(message) } }
}

/// Waits until the condition is true. The test's time limit bounds the wait.
private func wait(until isTrue: @Sendable () -> Bool) async throws {
  while !isTrue() {
    try Task.checkCancellation()
    await Task.yield()
  }
}

@Suite("Running answers of a key that is no longer valid", .timeLimit(.minutes(2)))
struct RevokedKeyTests {
  /// An answer that begins and does not end.
  private static let endless = PlanCluster.Script { _, writer, _ throws(Failure) in
    try writer.send(PlanCluster.delta("Hello "))
    let never = AsyncStream.makeStream(of: Never.self)
    for await _ in never.stream {}
  }

  private func expectEnd(_ received: FakeClient.Received, _ recorder: TelemetryRecorder) throws {
    let last = try #require(received.events.last)
    #expect(last.hasPrefix(#"data: {"error":{"message":"The key tutti-abcdefghijkl was revoked."#))
    #expect(last.contains(#""type":"authentication_error""#))
    #expect(last.contains(#""code":"invalid_api_key""#))
    #expect(received.events.count { $0.contains(#""error""#) } == 1)
    #expect(!received.text.contains("[DONE]") && received.hasEnd)
    #expect(recorder.drain().flatMap(\.requests).map(\.status) == [401])
  }

  @Test("the stream of a plan ends with one error event when its key is revoked")
  func planStream() async throws {
    let keys = try TestKeys()
    try await PlanCluster(scripts: [Self.endless]).run { cluster in
      let resources = cluster.resources
      try keys.publish(.active, revision: 2, to: resources)
      TestKeys.publish(.end, to: resources)
      let received = FakeClient.Received()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await resources.keyWatch.run() }
        group.addTask {
          _ = try await cluster.ask(rights: KeyRights(keys.record), receiving: received)
        }
        try await wait { received.text.contains("Hello ") }
        try keys.publish(.revoked, revision: 3, to: resources)
        try await wait { received.hasEnd }
        group.cancelAll()
        while await group.nextResult() != nil {}
      }
      // The record waits for the tokens of the cancelled tasks.
      let dispatch = try #require(cluster.dispatches.last)
      let trace = try #require(dispatch.trace)
      cluster.resources.departures.receive(
        PlanCosts(trace: trace, dispatch: 1, tasks: []), from: dispatch.dispatcher)
      try expectEnd(received, cluster.recorder)
    }
  }

  @Test("a plan whose client does not stream fails when its key is revoked")
  func wholePlan() async throws {
    let keys = try TestKeys()
    try await PlanCluster(scripts: [Self.endless]).run { cluster in
      let resources = cluster.resources
      try keys.publish(.active, revision: 2, to: resources)
      TestKeys.publish(.end, to: resources)
      let failure = await withTaskGroup(of: Failure?.self) { group in
        group.addTask {
          do {
            _ = try await cluster.ask(streaming: false, rights: KeyRights(keys.record))
            return nil
          } catch {
            return error as? Failure
          }
        }
        try? await wait { !cluster.orders.isEmpty }
        try? keys.publish(.disabled, revision: 3, to: resources)
        resources.keyWatch.endRefused(at: 0)
        return await group.next() ?? nil
      }
      #expect(failure?.code == .invalidAPIKey)
      #expect(failure?.message.contains("is disabled") == true)
    }
  }

  @Test("a direct stream ends also at the host, and the client pays for the tokens it received")
  func directStream() async throws {
    let host = try await FaultyHost.started(
      FaultyHostConfiguration(faults: FaultyHostFaults(stallAtToken: 3)))
    try await MoneyCluster(budget: 100).run { money in
      try await self.endDirectStream(of: host, money.spending)
      try await money.wait { money.settlements.count == 1 }
      #expect(money.settlements.first?.lease.billed == MicroCredits(2))
    }
    await host.waitForCancels(1)
    try await host.stop()
  }

  /// Asks the host, and revokes the key after the client has received two tokens. The gateway holds
  /// back the third token.
  private func endDirectStream(of host: FaultyHost, _ spending: Spending) async throws {
    let keys = try TestKeys()
    let recorder = TelemetryRecorder(service: "gateway", instance: "gateway-1")
    let resources = try Self.resources(recorder, hosts: [host.host("h")])
    try keys.publish(.active, revision: 2, to: resources)
    TestKeys.publish(.end, to: resources)
    let response = try await DirectAnswer(
      resources, try await exchange(resources, keys.record, spending, recorder), "faulty-model"
    ).response()
    let received = FakeClient.Received()
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await response.body.write(FakeClient(received: received)) }
      try await wait { received.text.contains("quick") }
      try keys.publish(.revoked, revision: 3, to: resources)
      resources.keyWatch.endRefused(at: 0)
      try await group.waitForAll()
    }
    try expectEnd(received, recorder)
    try await resources.inference.shutdown()
  }

  /// A request that pays a micro-credit for each token of its answer.
  private func exchange(
    _ resources: GatewayResources, _ key: KeyRecord, _ spending: Spending,
    _ recorder: TelemetryRecorder
  ) async throws -> Exchange {
    let json =
      #"{"model":"faulty-model","stream":true,"max_tokens":50,"tutti":{"race":"single"},"#
      + #""messages":[{"role":"user","content":"hi"}]}"#
    let request = try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions)
    let admission = Admission(
      ClientShares(total: 10), memory: resources.memory, logger: Logger(label: "test"))
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    let prices = try PriceTable(
      epoch: 1, revision: 1, unknown: .refuse,
      rows: [
        PriceRow(
          model: "faulty-model", effectiveFrom: 0,
          price: TokenPrice(
            input: .zero, cachedInput: .zero, output: MicroCredits(1_000_000)))
      ])
    var exchange = Exchange(
      request: request, journal: journal, reservation: try admission.admit(), hops: [],
      headers: [], seed: 1, rights: KeyRights(key), client: "",
      ingress: journal.phase(.ingress))
    exchange.payment = try await Payment(
      spending, key: key.id.description, model: "faulty-model", trace: TraceID(high: 1, low: 2),
      price: RequestPrice(of: ["faulty-model"], in: prices, at: 1),
      bounds: request.bounds(models: ["faulty-model"], table: resources.context.hosts.table),
      isPlan: false, table: resources.context.hosts.table)
    return exchange
  }

  /// The parts of a gateway without peers.
  private static func resources(
    _ recorder: TelemetryRecorder, hosts: [Host]
  ) throws -> GatewayResources {
    let configuration = BusConfiguration(
      service: .gateway, name: "gateway-1", addresses: .loopback(LoopbackNetwork(seed: 1)))
    return try PlanCluster.resources(
      Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: Logger(label: "test")), recorder, hosts: hosts)
  }

  @Test("running answers of a revoked key are completed if the setting is `finish`")
  func finish() async throws {
    let keys = try TestKeys()
    let revoked = AsyncStream.makeStream(of: Never.self)
    let script = PlanCluster.Script { _, writer, _ throws(Failure) in
      try writer.send(PlanCluster.delta("Hello"))
      for await _ in revoked.stream {}
      try writer.send(PlanCluster.finished)
    }
    try await PlanCluster(scripts: [script]).run { cluster in
      let resources = cluster.resources
      try keys.publish(.active, revision: 2, to: resources)
      let received = FakeClient.Received()
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          _ = try await cluster.ask(rights: KeyRights(keys.record), receiving: received)
        }
        try await wait { received.text.contains("Hello") }
        try keys.publish(.revoked, revision: 3, to: resources)
        resources.keyWatch.endRefused(at: 0)
        revoked.continuation.finish()
        try await group.waitForAll()
      }
      #expect(received.events.last == "data: [DONE]\n\n")
    }
  }

  @Test("only answers of keys that are not valid end: revoked, disabled, expired and removed ones")
  func keys() async throws {
    let resources = try Self.resources(
      TelemetryRecorder(service: "gateway", instance: "gateway-1"), hosts: [])
    let keys = try TestKeys(expiresAt: 100)
    let ended = Endings()
    func register() -> InFlightAnswers.Registration {
      resources.answers.register(key: keys.record.id) { failure in
        ended.add(failure.message)
      }
    }
    let other = resources.answers.register(key: KeyID("mnopqrstuvwx")) { _ in }
    let keyless = resources.answers.register { _ in ended.add("keyless") }
    other.unregister()

    try keys.publish(.active, revision: 2, to: resources)
    let first = register()
    resources.keyWatch.endRefused(at: 200)
    #expect(ended.all.isEmpty, "the default is to finish")
    TestKeys.publish(.end, to: resources)
    resources.keyWatch.endRefused(at: 99)
    #expect(ended.all.isEmpty)
    resources.keyWatch.endRefused(at: 100)
    resources.keyWatch.endRefused(at: 100)
    #expect(ended.all.count == 1 && ended.all.last?.contains("expired") == true)
    #expect(first.explained(.clientLeft).code == .invalidAPIKey)
    #expect(first.explained(InFlightAnswers.ended) == InFlightAnswers.ended)

    for (number, state) in [KeyState.revoked, .disabled, nil].enumerated() {
      let registration = register()
      try keys.publish(state, revision: UInt64(number) + 3, to: resources)
      resources.keyWatch.endRefused(at: 0)
      #expect(ended.all.count == number + 2)
      #expect(resources.answers.keys.isEmpty)
      withExtendedLifetime(registration) {}
    }
    withExtendedLifetime((first, keyless)) {}
    try await resources.inference.shutdown()
  }

  @Test("a request that ended is not ended again, and its key is forgotten")
  func unregistered() {
    let answers = InFlightAnswers()
    let key = KeyID("abcdefghijkl")
    do {
      let first = answers.register(key: key) { _ in }
      let second = answers.register(key: key) { _ in }
      #expect(answers.keys.count == 1)
      first.unregister()
      #expect(answers.keys.count == 1)
      withExtendedLifetime(second) {}
    }
    #expect(answers.keys.isEmpty)
  }
}
