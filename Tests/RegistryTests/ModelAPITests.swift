import Access
import BusCore
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import RegistryCore
import ServiceKit
import Store
import Synchronization
import Testing

@testable import RegistryService

/// A registry's records of models over a store and hosts of its own.
private final class ModelCluster: Sendable {
  private let directory: String
  private let hosts = Mutex(HostRegistry(epoch: 1, now: .zero))

  init() throws {
    directory = NSTemporaryDirectory() + "/tutti-models-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    for (id, models) in [("a", ["org/large", "small"]), ("b", ["org/large"])] {
      try add(HostID(id), models)
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private func add(_ id: HostID, _ models: [String]) throws {
    try hosts.withLock { hosts in
      var rng = SystemRandomNumberGenerator()
      let report = ProbeReport(
        models: models.map { ModelOffer(id: ModelID($0)) }, roundTrip: .zero)
      let added = try hosts.add(HostDraft(url: "http://\(id)", id: id), now: .zero)
      for case .probe(let order) in added.directives {
        _ = hosts.probed(order, .answered(report), now: .zero, using: &rng)
      }
    }
  }

  /// - Parameter reader: the only key, which may only read.
  private func keys(with reader: APIKey) throws -> KeyChecker {
    let pepper = try #require(KeyPepper([UInt8](repeating: 7, count: 32)))
    let record = KeyRecord(
      id: reader.id, name: "reader", account: try #require(AccountPath("acme")),
      hash: KeyHash(of: reader, pepper: pepper), scopes: [.adminRead])
    let access = AccessDirectory(
      ask: { _ throws(Failure) in throw Failure(.noPeer, "no registry") },
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    access.apply(
      .accessTablePage(
        AccessTablePage(
          version: AccessTableVersion(epoch: 1, revision: 1), page: 0, pages: 1, isOpen: false,
          pepper: pepper, records: [record])))
    return KeyChecker(access)
  }

  func models(of id: HostID) -> [ModelOffer] { hosts.withLock { $0.host(id)?.models ?? [] } }

  /// Starts the API of models over the same file, and stops it after the body.
  func run<Value: Sendable>(
    with settings: SettingsDirectory = SettingsDirectory(),
    _ body: @escaping @Sendable (Client) async throws -> Value
  ) async throws -> Value {
    let store = try AccountStore(path: directory + "/accounts.sqlite")
    let models = try await ModelShell(
      store: store, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    ) { [self] models, approval in
      hosts.withLock { hosts in
        _ = hosts.setModelRules(ModelRules(models.records, approval: approval))
      }
    }
    settings.onChange { models.setApproval($0.choice(.modelApproval) ?? .open) }
    let router = Router()
    let reader = try #require(APIKey(random: (0..<48).map { UInt8($0) }))
    ModelAPI(
      models: models, hosts: { [self] in hosts.withLock(\.self) },
      gate: AdminGate(
        token: try AdminToken(configured: Client.token, dataDirectory: directory),
        keys: try keys(with: reader))
    ).addRoutes(to: router)
    let client = Client(
      responder: router.buildResponder(), store: store, readOnlyKey: reader.revealed)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await models.run() }
      let result: Result<Value, any Error>
      do { result = .success(try await body(client)) } catch { result = .failure(error) }
      group.cancelAll()
      while await group.nextResult() != nil {}
      await store.close()
      return try result.get()
    }
  }
}

/// An admin's client.
private struct Client: Sendable {
  struct Answer {
    let status: Int
    let etag: String?
    let text: String

    func decoded<Value: Decodable>(_: Value.Type = Value.self) throws -> Value {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(Value.self, from: Data(text.utf8))
    }
  }

  static let token = "0123456789abcdef"

  let responder: RouterResponder<BasicRequestContext>
  let store: AccountStore
  let readOnlyKey: String

  func send(
    _ method: HTTPRequest.Method, _ path: String, _ body: String = "", ifMatch tag: String? = nil,
    isAdmin: Bool = true
  ) async throws -> Answer {
    var head = HTTPRequest(
      method: method, scheme: "http", authority: "t", path: "/admin/v1/models" + path)
    if let tag { head.headerFields[.ifMatch] = tag }
    head.headerFields[.authorization] = "Bearer \(isAdmin ? Self.token : readOnlyKey)"
    let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let response = try await responder.respond(
      to: Request(head: head, body: RequestBody(buffer: ByteBuffer(string: body))),
      context: BasicRequestContext(
        source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: logger)))
    let text = CollectedText()
    try await response.body.write(Writer(text: text))
    return Answer(
      status: response.status.code, etag: response.headers[.eTag],
      text: text.value.withLock { $0 })
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

private struct ListedModel: Decodable {
  struct Offer: Decodable, Equatable {
    let host: String
    let approved: Bool
    let state: String
  }

  let id: String
  let hosts: [String]
  let hidden: Bool
  let kind: String?
  let contextTokens: Int?
  let offers: [Offer]
}

private struct ListedModels: Decodable {
  let data: [ListedModel]
  let hasMore: Bool
}

private struct Refusal: Decodable {
  struct Content: Decodable {
    let code: String?
    let param: String?
  }

  let error: Content
}

@Suite("The admin API of models")
struct ModelAPITests {
  @Test("every model that a host lists is shown, page by page, and with the contents of its record")
  func list() async throws {
    try await ModelCluster().run { client in
      var page = try await client.send(.get, "?limit=1").decoded(ListedModels.self)
      #expect(page.data.map(\.id) == ["org/large"] && page.hasMore)
      #expect(page.data.first?.offers.map(\.host) == ["a", "b"])
      _ = try await client.send(.patch, "/zeta", #"{"hidden":true}"#)
      page = try await client.send(.get, "?after=org/large").decoded()
      #expect(page.data.map(\.id) == ["small", "zeta"] && !page.hasMore)
      #expect(page.data.map(\.hidden) == [false, true])
      let wrong = try await client.send(.get, "?limit=0")
      #expect(wrong.status == 400)
    }
  }

  @Test("a change is in force when it is answered, survives a restart, and has an author")
  func change() async throws {
    let cluster = try ModelCluster()
    try await cluster.run { client in
      let answer = try await client.send(
        .patch, "/org%2Flarge", #"{"hosts":["b"],"context_tokens":512,"kind":"chat"}"#)
      #expect(answer.status == 200)
      let model = try answer.decoded(ListedModel.self)
      #expect(model.id == "org/large" && model.kind == "chat" && model.contextTokens == 512)
      #expect(
        model.offers == [
          ListedModel.Offer(host: "a", approved: false, state: "ready"),
          ListedModel.Offer(host: "b", approved: true, state: "ready"),
        ])
      #expect(cluster.models(of: "a").map(\.id) == ["small"])
      #expect(cluster.models(of: "b").first?.contextTokens == 512)
      // Absent members stay; null removes a setting.
      let later = try await client.send(.patch, "/org%2Flarge", #"{"kind":null}"#)
      #expect(try later.decoded(ListedModel.self).kind == nil)
      #expect(try later.decoded(ListedModel.self).hosts == ["b"])
    }
    try await cluster.run { client in
      let model = try await client.send(.get, "/org%2Flarge").decoded(ListedModel.self)
      #expect(model.hosts == ["b"] && model.contextTokens == 512)
      #expect(cluster.models(of: "a").map(\.id) == ["small"])
      let audit = try await client.store.audit(AuditQuery(kind: "model", id: "org/large"))
      #expect(audit.map(\.author.name) == ["admin-token", "admin-token"])
      #expect(audit.last?.before == nil && audit.first?.before == audit.last?.after)
      let removal = try await client.send(.delete, "/org%2Flarge")
      #expect(removal.text == #"{"deleted":true,"id":"org/large","object":"model"}"#)
      #expect(cluster.models(of: "a").map(\.id) == ["org/large", "small"])
    }
  }

  @Test("of two admins with one ETag, the second one is refused; a new record has the ETag 0")
  func etags() async throws {
    try await ModelCluster().run { client in
      let tag = try await client.send(.get, "/small").etag
      #expect(tag == #""0""#)
      let first = try await client.send(.patch, "/small", #"{"hidden":true}"#, ifMatch: tag)
      #expect(first.status == 200 && first.etag != tag)
      let second = try await client.send(.patch, "/small", #"{"hidden":false}"#, ifMatch: tag)
      #expect(second.status == 412)
      #expect(try second.decoded(Refusal.self).error.code == "conflict")
      #expect(try await client.send(.get, "/small").etag == first.etag)
      #expect(try await client.send(.delete, "/small", ifMatch: tag).status == 412)
      #expect(try await client.send(.delete, "/small", ifMatch: first.etag).status == 200)
    }
  }

  @Test("an alias is offered by the hosts of its models, under the name that they know")
  func alias() async throws {
    let cluster = try ModelCluster()
    try await cluster.run { client in
      let answer = try await client.send(
        .patch, "/best", #"{"stands_for":["small","org/large"]}"#)
      #expect(try answer.decoded(ListedModel.self).offers.map(\.host) == ["a", "b"])
      #expect(cluster.models(of: "a").last == ModelOffer(id: "best", upstream: "small"))
      #expect(cluster.models(of: "b").last == ModelOffer(id: "best", upstream: "org/large"))
    }
  }

  @Test("with models.approval a host serves only models whose record names it, at once")
  func approval() async throws {
    let cluster = try ModelCluster()
    let settings = SettingsDirectory()
    @Sendable func publish(_ approval: ModelApproval?, revision: UInt64) {
      var overrides = RuntimeOverrides()
      overrides.set(.modelApproval, to: approval.map { .choice($0.rawValue) })
      settings.apply(
        .settingsTable(
          RuntimeSettingsTable(epoch: 1, revision: revision, overrides: overrides)))
    }
    try await cluster.run(with: settings) { client in
      #expect(cluster.models(of: HostID("a")).map(\.id) == ["org/large", "small"])
      publish(.required, revision: 1)
      #expect(cluster.models(of: HostID("a")).isEmpty)
      let changed = try await client.send(.patch, "/org%2Flarge", #"{"hosts": ["a"]}"#)
      #expect(changed.status == 200)
      #expect(cluster.models(of: HostID("a")).map(\.id) == ["org/large"])
      #expect(cluster.models(of: HostID("b")).isEmpty)
      publish(nil, revision: 2)
      #expect(cluster.models(of: HostID("a")).map(\.id) == ["org/large", "small"])
    }
    // A restarted registry has the setting before it applies its records.
    publish(.required, revision: 3)
    try await cluster.run(with: settings) { _ in
      #expect(cluster.models(of: HostID("a")).map(\.id) == ["org/large"])
    }
  }

  @Test("wrong members, values and names are refused, and nothing changes")
  func refusals() async throws {
    try await ModelCluster().run { client in
      for (body, param) in [
        (#"{"stands_for":["small"]}"#, "stands_for"), (#"{"stands_for":"x"}"#, "stands_for"),
        (#"{"hosts":["a/b"]}"#, "hosts"), (#"{"host_pools":["A"]}"#, "host_pools"),
        (#"{"hidden":1}"#, "hidden"), (#"{"kind":"chats"}"#, "kind"),
        (#"{"context_tokens":-1}"#, "context_tokens"),
        (#"{"context_tokens":1.5}"#, "context_tokens"),
        (#"{"minimum_versions":["x"]}"#, "minimum_versions"), (#"{"offers":[]}"#, "offers"),
      ] {
        let answer = try await client.send(.patch, "/small", body)
        #expect(answer.status == 400, "\(body)")
        #expect(try answer.decoded(Refusal.self).error.param == param, "\(body)")
      }
      for name in ["tutti%2Fauto", "a%00b", String(repeating: "x", count: 257)] {
        #expect(try await client.send(.patch, "/" + name, "{}").status == 400)
      }
      #expect(try await client.send(.get, "/unknown").status == 404)
      #expect(try await client.send(.delete, "/small").status == 404)
      #expect(try await client.send(.patch, "/small", "{}", isAdmin: false).status == 403)
      #expect(try await client.send(.get, "/small", isAdmin: false).status == 200)
      #expect(try await client.store.models().isEmpty)
    }
  }

  @Test("the description of the API is JSON and names every member of a model")
  func description() throws {
    let document = try JSONSerialization.jsonObject(with: Data(adminOpenAPI.utf8))
    let schemas = (document as? [String: Any])?["components"] as? [String: Any]
    let models = (schemas?["schemas"] as? [String: Any])?["Model"] as? [String: Any]
    let described = Set(((models?["properties"] as? [String: Any]) ?? [:]).keys)
    let data = try JSONEncoder().encode(ModelJSON(ModelRecord("m"), []))
    let sent = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    #expect(Set((sent ?? [:]).keys) == described)
  }
}
