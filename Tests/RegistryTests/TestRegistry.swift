import Access
import AsyncHTTPClient
import Bus
import BusCore
import ClusterModel
import Foundation
import GRDB
import HTTPTypes
import Hummingbird
import Inference
import Logging
import NIOCore
import NIOEmbedded
import RegistryCore
import ServiceLifecycle
import Store
import Synchronization
import Telemetry
import Testing

@testable import RegistryService
@testable import ServiceKit

/// A registry with its routes in this process, and stores in a scratch folder. Nothing listens, and
/// its hosts do not exist.
final class TestRegistry: Sendable {
  let shell: RegistryShell
  let accounts: AccountStore
  /// The audit log for changes of hosts. It writes to `accounts`, or fails if a fault is set.
  let auditLog: FailingStore
  private let context: ServiceContext
  private let keys: KeyIssuer
  private let accountShell: AccountShell
  private let responder: RouterResponder<BasicRequestContext>
  private let token: String
  /// Milliseconds since 1970.
  private static let wall: Int64 = 1_790_000_000_000
  private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

  struct Answer: Sendable {
    let status: Int
    let tag: String?
    let text: String
  }

  /// Starts a registry over the files of a folder, and stops it after the body.
  static func run<Value: Sendable>(
    in scratch: Scratch? = nil, _ body: @escaping @Sendable (TestRegistry) async throws -> Value
  ) async throws -> Value {
    let scratch = try scratch ?? Scratch()
    defer { withExtendedLifetime(scratch) {} }
    let registry = try await TestRegistry(folder: scratch.path)
    return try await run([registry.keys, registry.accountShell, registry.shell]) {
      try await body(registry)
    }
  }

  /// Runs services around the body. The first service runs longest, because it closes the store
  /// that the others use.
  private static func run<Value: Sendable>(
    _ services: [any Service], _ body: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    guard let first = services.first else { return try await body() }
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await first.run() }
      let result: Result<Value, any Error>
      do {
        result = .success(try await run(Array(services.dropFirst()), body))
      } catch {
        result = .failure(error)
      }
      group.cancelAll()
      while await group.nextResult() != nil {}
      return try result.get()
    }
  }

  /// A new folder for the files of a registry, which is removed at the end.
  final class Scratch: Sendable {
    let path = NSTemporaryDirectory() + "/tutti-registry-\(UUID().uuidString)"

    init() throws {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
  }

  private init(folder: String) async throws {
    let logger = Self.logger
    let settings = ServiceSettings<RegistryConfiguration>(
      arguments: ["--data-dir", folder], environment: ["HOME": "/nowhere"], hostName: "box",
      readFile: { (_) throws(ProcessFailure) -> String in "" })
    try #require(settings.mistakes.isEmpty, "\(settings.mistakes)")
    let configuration = BusConfiguration(
      service: .registry, name: "registry", addresses: .loopback(LoopbackNetwork(seed: 1)))
    context = ServiceContext(
      common: settings.common,
      bus: Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: logger),
      logger: logger, recorder: TelemetryRecorder(service: "registry", instance: "registry"),
      metrics: PrometheusRegistry(), health: Health(),
      hosts: HostDirectory(
        ask: { () throws(Failure) -> HostTable in throw Failure(.noPeer, "no registry") },
        logger: logger),
      access: AccessDirectory(
        ask: { _ throws(Failure) in throw Failure(.noPeer, "no registry") }, logger: logger),
      settings: SettingsDirectory(
        ask: { () throws(Failure) in throw Failure(.noPeer, "no registry") }, logger: logger))
    accounts = try AccountStore(path: folder + "/accounts.sqlite")
    auditLog = FailingStore(accounts)
    let hosts = try HostStore(path: folder + "/registry.sqlite")
    let publisher = KeyPublisher(bus: context.bus, access: context.access)
    let accountShell = try await AccountShell(
      store: accounts, epoch: 1, outlet: AccountShell.Outlet(send: { _, _ in }, publish: { _ in }),
      logger: logger, now: { AccountTime(wall: Self.wall, instant: .zero) })
    self.accountShell = accountShell
    keys = try await KeyIssuer(
      store: accounts, dataDirectory: folder, epoch: 1, logger: logger,
      checkAccount: { account throws(Failure) in
        try await accountShell.checkAccount(ofKey: account)
      },
      publish: { publisher.publish($0) })
    let keeper = try await SettingsKeeper(
      store: accounts, epoch: 1, logger: logger, publish: { _ in })
    shell = RegistryShell(
      context: context, store: AuditedHosts(store: hosts, log: auditLog, logger: logger),
      restored: try await hosts.hosts(),
      prober: HostProber(
        client: HTTPClient(configuration: HostProber.clientConfiguration),
        credentials: Credentials(rules: settings.common.credentials)),
      keys: keys, keyPublisher: publisher, accounts: accountShell, settings: keeper,
      keyUse: KeyUseKeeper(path: folder + "/key-use.txt", epoch: 1, logger: logger),
      // No other process exists, so none has requests to report after the start.
      rejoining: .zero)
    let adminToken = try AdminToken(
      configured: "a-token-of-a-test", dataDirectory: folder)
    token = "a-token-of-a-test"
    let router = makeRouter()
    let gate = AdminGate(token: adminToken, keys: context.keys)
    AdminAPI(shell: shell, keys: keys, accounts: accountShell, gate: gate).addRoutes(to: router)
    AccountAPI(
      accounts: accountShell, keys: keys,
      authorise: { request, purpose in try gate.author(of: request, isChange: purpose == .change) },
      storeRead: { author in try await gate.storeRead(by: author) },
      wall: { Self.wall }
    ).addRoutes(to: router)
    responder = router.buildResponder()
  }

  /// Sends a request of an admin.
  ///
  /// - Parameter tag: value of `If-Match`. `nil` means that the header is absent.
  func send(
    _ method: HTTPRequest.Method, _ path: String, _ body: String = "", ifMatch tag: String? = nil
  ) async throws -> Answer {
    var head = HTTPRequest(
      method: method, scheme: "http", authority: "localhost", path: "/admin/v1" + path)
    head.headerFields[.authorization] = "Bearer \(token)"
    if let tag { head.headerFields[.ifMatch] = tag }
    let response = try await responder.respond(
      to: Request(head: head, body: RequestBody(buffer: ByteBuffer(string: body))),
      context: BasicRequestContext(
        source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: Self.logger)))
    let text = CollectedText()
    try await response.body.write(Writer(text: text))
    return Answer(
      status: response.status.code, tag: response.headers[.eTag],
      text: text.value.withLock { $0 })
  }

  /// Makes a file of hosts refuse every `change`, as a full disk would.
  static func refuseChanges(of path: String, to change: String = "UPDATE") async throws {
    try await edit(
      path,
      """
      CREATE TRIGGER full_disk BEFORE \(change) ON hosts
      BEGIN SELECT RAISE(ABORT, 'no space'); END
      """)
  }

  /// Changes the file of a store as another process would.
  static func edit(_ path: String, _ sql: String) async throws {
    let file = try DatabaseQueue(path: path)
    try await file.write { database in try database.execute(sql: sql) }
    try file.close()
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
