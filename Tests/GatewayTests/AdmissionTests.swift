import Access
import ClusterModel
import ClusterTesting
import Logging
import Overload
import OverloadCore
import Testing

@testable import GatewayService

@Suite("Admission")
struct AdmissionTests {
  private let memory = MemoryBudget()

  private func admission(
    total: Int = 100, requestBytes: Int = 1_000, plans: Int = 100, memory: MemoryBudget? = nil
  ) -> Admission {
    let share = ClientShare(requests: 100, requestBytes: requestBytes, plans: plans)
    return Admission(
      ClientShares(total: total, remote: share, local: share), memory: memory ?? self.memory,
      logger: Logger(label: "test"))
  }

  @Test("a request takes a slot only after its body is complete")
  func slots() throws {
    let admission = admission(total: 1)
    let first = try admission.admit()
    let second = try admission.admit()
    try first.takeSlot()
    #expect(failureCode { () throws(Failure) in try second.takeSlot() } == .overloaded)
    #expect(failureCode { () throws(Failure) in _ = try admission.admit() } == .overloaded)
    withExtendedLifetime((first, second)) {}
  }

  @Test("a request that ends returns its slot")
  func slotReturns() throws {
    let admission = admission(total: 1)
    var first: RequestReservation? = try admission.admit()
    try first?.takeSlot()
    #expect(failureCode { () throws(Failure) in _ = try admission.admit() } == .overloaded)
    first = nil
    try admission.admit().takeSlot()
  }

  @Test("a request that ends without a slot returns none")
  func noSlotReturns() throws {
    let admission = admission(total: 1)
    let first = try admission.admit()
    var second: RequestReservation? = try admission.admit()
    try first.takeSlot()
    #expect(failureCode { () throws(Failure) in try second?.takeSlot() } == .overloaded)
    second = nil
    #expect(failureCode { () throws(Failure) in _ = try admission.admit() } == .overloaded)
    withExtendedLifetime(first) {}
  }

  @Test(
    "room for a body is kept until its request ends, and surplus room until its body is complete")
  func bodyRoom() async throws {
    let admission = admission(requestBytes: 100_000)
    var first: RequestReservation? = try admission.admit()
    try await first?.reserveBody(90_000)
    let second = try admission.admit()
    let third = try admission.admit()
    let waiting = Task { try await second.reserveBody(70_000) }
    first?.setBody(30_000)
    try await waiting.value
    let behind = Task { try await third.reserveBody(60_000) }
    second.setBody(20_000)
    first = nil
    try await behind.value
    #expect(second.hasBodyRoom && third.hasBodyRoom)
  }

  @Test("plans are counted per client until they end")
  func plans() throws {
    let admission = admission(plans: 1)
    let request = try admission.admit()
    var plan: PlanReservation? = try request.reservePlan()
    #expect(failureCode { () throws(Failure) in _ = try request.reservePlan() } == .rateLimited)
    withExtendedLifetime(plan) {}
    plan = nil
    _ = try request.reservePlan()
  }

  @Test("a request is refused if the process has no memory for it, and leaves none charged")
  func memoryBudget() throws {
    let small = MemoryBudget(128 << 10)
    let admission = admission(requestBytes: 1 << 20, memory: small)
    var request: RequestReservation? = try admission.admit()
    #expect(small.held > 0)
    #expect(failureCode { () throws(Failure) in try request?.chargeBody(1 << 19) } == .overloaded)
    request = nil
    #expect(small.held == 0)
  }

  @Test("a small body reserves no room")
  func uploads() async throws {
    let reservation = try admission().admit()
    try await reservation.reserveBody(1_000)
    #expect(!reservation.hasBodyRoom)
    try await reservation.reserveBody(1 << 20)
    #expect(reservation.hasBodyRoom)
  }

  @Test("requests of different keys do not wait for each other's bodies")
  func keys() async throws {
    let admission = admission(requestBytes: 100_000)
    let one = try admission.admit(key: KeyID("aaaaaaaaaaaa".utf8))
    let other = try admission.admit(key: KeyID("bbbbbbbbbbbb".utf8))
    try await one.reserveBody(90_000)
    try await other.reserveBody(90_000)
    #expect(other.hasBodyRoom)
    withExtendedLifetime(one) {}
  }
}

@Suite("Limits of the gateway that change at run time")
struct ChangedLimitsTests {
  private static func overrides(
    _ values: [(RuntimeSetting, Int)]
  ) -> RuntimeOverrides {
    var overrides = RuntimeOverrides()
    for (setting, value) in values { overrides.set(setting, to: .integer(value)) }
    return overrides
  }

  private let admission = Admission(
    ClientShares(total: 2), memory: MemoryBudget(), logger: Logger(label: "test"))

  @Test("a raised limit admits requests at once, and its removal restores the configured limit")
  func raised() throws {
    let running = try (0..<2).map { _ in try admission.admit() }
    for request in running { try request.takeSlot() }
    #expect(failureCode { () throws(Failure) in _ = try admission.admit() } == .overloaded)
    admission.apply(Self.overrides([(.gatewayRequests, 3)]))
    let third = try admission.admit()
    try third.takeSlot()
    admission.apply(.none)
    #expect(failureCode { () throws(Failure) in _ = try admission.admit() } == .overloaded)
    withExtendedLifetime((running, third)) {}
  }

  @Test("a lowered limit ends no running request")
  func lowered() throws {
    var running = try (0..<2).map { _ in try admission.admit() }
    for request in running { try request.takeSlot() }
    admission.apply(Self.overrides([(.gatewayRequests, 1)]))
    running.removeLast()
    #expect(failureCode { () throws(Failure) in _ = try admission.admit() } == .overloaded)
    running.removeLast()
    _ = try admission.admit()
  }

  @Test("plans of a client are limited by the current limit")
  func plans() throws {
    admission.apply(Self.overrides([(.gatewayPlansPerLocalClient, 1)]))
    let request = try admission.admit()
    let plan = try request.reservePlan()
    #expect(failureCode { () throws(Failure) in _ = try request.reservePlan() } == .rateLimited)
    withExtendedLifetime(plan) {}
  }

  @Test("each setting changes its own limit")
  func each() {
    let configured = ClientLimits(total: 2)
    let changed = configured.overridden(
      by: Self.overrides([
        (.gatewayRequestsPerClient, 3), (.gatewayRequestsPerLocalClient, 4),
        (.gatewayPlansPerClient, 5), (.gatewayPlansPerLocalClient, 6),
      ]))
    #expect(changed.total == 2)
    #expect(changed.remote.requests == 3 && changed.local.requests == 4)
    #expect(changed.remote.plans == 5 && changed.local.plans == 6)
    #expect(changed.remote.requestBytes == configured.remote.requestBytes)
    #expect(configured.overridden(by: .none) == configured)
  }
}
