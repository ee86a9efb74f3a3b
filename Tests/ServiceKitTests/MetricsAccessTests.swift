import Access
import BusCore
import ClusterModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Testing

@testable import ServiceKit

@Suite("Access to the metrics of a process")
struct MetricsAccessTests {
  private static let services: [ServiceName] = [.planner, .dispatcher, .agent(.critic)]

  private let access = AccessDirectory(
    ask: { _ throws(Failure) in throw Failure(.noPeer, "the test has no registry") },
    logger: Logger(label: "test"))
  private let key: APIKey

  init() throws {
    key = try #require(APIKey(random: (0..<48).map { UInt8($0) }))
  }

  /// Publishes what processes without copies of the keys receive.
  private func publish(isOpen: Bool) throws {
    let page = AccessTablePage(
      version: AccessTableVersion(epoch: 1, revision: isOpen ? 1 : 2), page: 0, pages: 1,
      isOpen: isOpen, pepper: try #require(KeyPepper([UInt8](repeating: 7, count: 32))),
      records: [])
    access.apply(.accessTablePage(page.withoutKeys))
  }

  /// - Returns: the error's code. `nil` means that the metrics are shown.
  private func check(_ service: ServiceName, isStrict: Bool = false) -> Failure.Code? {
    let request = Request(
      head: HTTPRequest(
        method: .get, scheme: "http", authority: "t", path: "/metrics",
        headerFields: [.authorization: "Bearer \(key.revealed)"]),
      body: RequestBody(buffer: ByteBuffer()))
    do throws(Failure) {
      try KeyChecker(access, isStrict: isStrict).checkMetrics(request, of: service)
      return nil
    } catch {
      return error.code
    }
  }

  @Test("a process that has no copies of the keys closes its metrics once keys exist")
  func closed() throws {
    for service in Self.services { #expect(check(service) == .overloaded) }
    try publish(isOpen: true)
    for service in Self.services { #expect(check(service) == nil) }
    for service in Self.services { #expect(check(service, isStrict: true) == .permissionDenied) }
    try publish(isOpen: false)
    for service in Self.services { #expect(check(service) == .permissionDenied) }
    #expect(check(.monitor) == .invalidAPIKey)
  }
}
