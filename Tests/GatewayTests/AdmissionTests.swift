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
