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

  @Test("body bytes are charged to the client until the request ends")
  func bodyBytes() throws {
    let admission = admission(requestBytes: 100)
    var first: RequestReservation? = try admission.admit()
    let second = try admission.admit()
    try first?.chargeBody(60)
    #expect(failureCode { () throws(Failure) in try second.chargeBody(60) } == .rateLimited)
    try second.chargeBody(40)
    first = nil
    try second.chargeBody(60)
    withExtendedLifetime(second) {}
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

  @Test("a small body needs no wait; a large one gets a pass")
  func uploads() async throws {
    let reservation = try admission().admit()
    #expect(try await reservation.waitForUpload(declared: 1_000) == nil)
    #expect(try await reservation.waitForUpload(declared: 1 << 20) != nil)
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
