import Access
import Bus
import BusCore
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import ServiceKit
import Store
import Synchronization
import Telemetry
import Testing

@testable import MonitorService
@testable import ServiceKit

/// A monitor's routes in this process, with a store in a scratch file. Nothing listens.
final class TestMonitor: Sendable {
  let store: SQLiteLogStore
  private let directory: URL
  private let responder: RouterResponder<BasicRequestContext>
  private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  /// - Parameters:
  ///   - keys: records of all keys. `nil` means that no table has arrived.
  ///   - arguments: the monitor's command line.
  init(keys: [KeyRecord]?, arguments: [String] = []) throws {
    directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    store = try SQLiteLogStore(path: directory.path + "/monitor.sqlite")
    let settings = ServiceSettings<MonitorConfiguration>(
      arguments: arguments, environment: ["HOME": "/nowhere"], hostName: "box",
      readFile: { (_) throws(ProcessFailure) -> String in "" })
    try #require(settings.mistakes.isEmpty, "\(settings.mistakes)")
    let configuration = BusConfiguration(
      service: .monitor, name: "monitor", addresses: .loopback(LoopbackNetwork(seed: 1)))
    let access = AccessDirectory(
      ask: { _ throws(Failure) in throw Failure(.noPeer, "no registry") }, logger: logger)
    if let keys {
      let pages = AccessTablePage.pages(
        version: AccessTableVersion(epoch: 1, revision: 1), isOpen: keys.isEmpty,
        pepper: try Self.pepper, records: keys)
      for page in pages { access.apply(.accessTablePage(page)) }
    }
    let context = ServiceContext(
      common: settings.common,
      bus: Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: logger),
      logger: logger,
      recorder: TelemetryRecorder(service: "monitor", instance: "monitor"),
      metrics: PrometheusRegistry(), health: Health(),
      hosts: HostDirectory(
        ask: { () throws(Failure) -> HostTable in throw Failure(.noPeer, "no registry") },
        logger: logger), access: access)
    let router = makeRouter()
    MonitorAPI.addRoutes(
      to: router, context, shell: MonitorShell(context: context, store: store), store: store)
    responder = router.buildResponder()
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  private static var pepper: KeyPepper {
    get throws { try #require(KeyPepper(0..<32)) }
  }

  /// A key whose bytes are all this number.
  static func key(_ number: UInt8) throws -> APIKey {
    try #require(APIKey(random: Array(repeating: number, count: APIKey.randomByteCount)))
  }

  static func record(_ key: APIKey, _ scopes: Set<AccessScope>) throws -> KeyRecord {
    KeyRecord(
      id: key.id, name: "test", account: try #require(AccountPath("acme")),
      hash: KeyHash(of: key, pepper: try pepper), scopes: scopes)
  }

  struct Answer {
    let status: Int
    let headers: HTTPFields
    let text: String
  }

  func get(_ path: String, key: APIKey? = nil, accept: String? = nil) async throws -> Answer {
    var head = HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: path)
    if let key { head.headerFields[.authorization] = "Bearer \(key.revealed)" }
    if let accept { head.headerFields[.accept] = accept }
    let response = try await responder.respond(
      to: Request(head: head, body: RequestBody(buffer: ByteBuffer())),
      context: BasicRequestContext(
        source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: logger)))
    let text = CollectedText()
    try await response.body.write(Writer(text: text))
    return Answer(
      status: response.status.code, headers: response.headers, text: text.value.withLock { $0 })
  }

  private final class CollectedText: Sendable {
    let value = Mutex("")
  }

  private struct Writer: ResponseBodyWriter {
    let text: CollectedText

    mutating func write(_ buffer: ByteBuffer) async throws {
      text.value.withLock { $0 += String(buffer: buffer) }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
  }
}
