import Access
import BusCore
import ClusterModel
import Foundation
import GRDB
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import ServiceKit
import Store
import Synchronization
import Testing

@testable import RegistryService

private let token = "0123456789abcdef"
private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A registry's settings over a store in a data directory of their own, with their HTTP routes.
private final class SettingsCluster: Sendable {
  private let directory = NSTemporaryDirectory() + "tutti-settings-\(UUID().uuidString)"
  private let epoch = Mutex<UInt64>(0)
  private let received = Mutex<[RuntimeSettingsTable]>([])

  var storeFile: String { directory + "/accounts.sqlite" }

  /// Tables that were published.
  var tables: [RuntimeSettingsTable] { received.withLock(\.self) }

  /// Whether a table with overrides was published.
  var hasOverrides: Bool { tables.contains { !$0.overrides.isEmpty } }

  init() throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func edit(_ sql: String) throws {
    try DatabaseQueue(path: storeFile).write { try $0.execute(sql: sql) }
  }

  /// Starts the API of settings over the same file, and stops it after the body.
  func run(_ body: @escaping @Sendable (AdminClient) async throws -> Void) async throws {
    let epoch = epoch.withLock { epoch in
      epoch += 1
      return epoch
    }
    let store = try AccountStore(path: storeFile)
    let settings = try await SettingsKeeper(
      store: store, epoch: epoch, logger: logger,
      publish: { [self] table in received.withLock { $0.append(table) } })
    let access = AccessDirectory(
      ask: { _ throws(Failure) in throw Failure(.noPeer, "no registry") }, logger: logger)
    access.apply(
      .accessTablePage(
        AccessTablePage(
          version: AccessTableVersion(epoch: 1, revision: 1), page: 0, pages: 1, isOpen: true,
          pepper: try #require(KeyPepper(0..<32)), records: [])))
    let router = Router()
    SettingsAPI(
      settings: settings,
      gate: AdminGate(
        token: try AdminToken(configured: token, dataDirectory: directory),
        keys: KeyChecker(access))
    ).addRoutes(to: router)
    let client = AdminClient(store: store, responder: router.buildResponder())
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await settings.run() }
      var failure: (any Error)?
      do { try await body(client) } catch { failure = error }
      group.cancelAll()
      while await group.nextResult() != nil {}
      await store.close()
      if let failure { throw failure }
    }
  }
}

/// A setting as the API shows it.
private struct Setting: Decodable {
  struct Range: Decodable, Equatable {
    var minimum: Int?
    var maximum: Int?
    var values: [String]?
  }

  /// A text or a number.
  enum Value: Decodable, Equatable {
    case text(String)
    case number(Int)

    init(from decoder: any Decoder) throws {
      let value = try decoder.singleValueContainer()
      if let number = try? value.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try value.decode(String.self))
      }
    }
  }

  let id: String
  let value: Value?
  let standard: Value
  let source: String
  let range: Range

  enum CodingKeys: String, CodingKey {
    case id, value, source, range
    case standard = "default"
  }
}

private struct AdminClient: Sendable {
  let store: AccountStore
  let responder: RouterResponder<BasicRequestContext>

  struct Answer {
    let status: Int
    let tag: String?
    let body: Data

    /// The setting's object in the list.
    func setting(_ id: String) throws -> Setting {
      let list = try JSONDecoder().decode(List.self, from: body)
      return try #require(list.data.first { $0.id == id })
    }

    /// The member `param` of the error.
    var param: String? { try? JSONDecoder().decode(Problem.self, from: body).error.param }

    private struct List: Decodable {
      let data: [Setting]
    }

    private struct Problem: Decodable {
      struct Content: Decodable {
        let param: String
      }

      let error: Content
    }
  }

  func get() async throws -> Answer { try await send(.get, "") }

  func patch(_ json: String, ifMatch tag: String? = nil) async throws -> Answer {
    try await send(.patch, json, ifMatch: tag)
  }

  func send(
    _ method: HTTPRequest.Method, _ json: String, ifMatch tag: String? = nil,
    as secret: String = token
  ) async throws -> Answer {
    var head = HTTPRequest(
      method: method, scheme: "http", authority: "localhost", path: "/admin/v1/settings")
    head.headerFields[.authorization] = "Bearer \(secret)"
    head.headerFields[.ifMatch] = tag
    let response = try await responder.respond(
      to: Request(head: head, body: RequestBody(buffer: ByteBuffer(string: json))),
      context: BasicRequestContext(
        source: ApplicationRequestContextSource(channel: EmbeddedChannel(), logger: logger)))
    let text = Mutex("")
    try await response.body.write(Writer { piece in text.withLock { $0 += piece } })
    return Answer(
      status: response.status.code, tag: response.headers[.eTag],
      body: Data(text.withLock(\.self).utf8))
  }

  private struct Writer: ResponseBodyWriter {
    let receive: @Sendable (String) -> Void

    mutating func write(_ buffer: ByteBuffer) async throws { receive(String(buffer: buffer)) }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
  }
}

@Suite("Settings of the registry")
struct SettingsAPITests {
  @Test("every setting is listed with its range and default, and without a value at first")
  func list() async throws {
    try await SettingsCluster().run { client in
      let answer = try await client.get()
      #expect(answer.status == 200 && answer.tag == "\"0\"")
      for setting in RuntimeSetting.allCases {
        let shown = try answer.setting(setting.id)
        #expect(shown.value == nil && shown.source == "configuration")
        switch setting.standard {
        case .integer(let number): #expect(shown.standard == .number(number))
        case .choice(let choice): #expect(shown.standard == .text(choice))
        }
      }
      let width = try answer.setting("inference.race_width")
      #expect(width.range == Setting.Range(minimum: 1, maximum: 8))
      let race = try answer.setting("inference.race")
      #expect(race.range == Setting.Range(values: ["by_price", "dual", "hedged", "single"]))
    }
  }

  @Test("a change is stored, published and in the audit log when it is answered")
  func change() async throws {
    let cluster = try SettingsCluster()
    try await cluster.run { client in
      let answer = try await client.patch(
        #"{"inference.race": "hedged", "gateway.max_requests": 1024}"#)
      #expect(answer.status == 200)
      #expect(try answer.setting("inference.race").value == .text("hedged"))
      #expect(try answer.setting("gateway.max_requests").value == .number(1_024))
      #expect(try answer.setting("gateway.max_requests").source == "runtime")
      #expect(cluster.tables.last?.overrides.integer(.gatewayRequests) == 1_024)
      let cleared = try await client.patch(#"{"inference.race": null}"#)
      #expect(try cleared.setting("inference.race").value == nil)
      #expect(cluster.tables.last?.overrides.choice(.inferenceRace, as: RaceDefault.self) == nil)
      #expect(cluster.tables.map(\.revision) == cluster.tables.map(\.revision).sorted())
      let records = try await client.store.audit(AuditQuery(kind: "setting"))
      #expect(records.map(\.author.name) == ["admin-token", "admin-token"])
      #expect(records.map(\.id) == ["runtime", "runtime"])
      let both = #"{"gateway.max_requests":1024,"inference.race":"hedged"}"#
      #expect(records.map(\.before) == [both, nil])
      #expect(records.map(\.after) == [#"{"gateway.max_requests":1024}"#, both])
    }
  }

  @Test("overrides survive a restart, and a restarted registry publishes them again")
  func restart() async throws {
    let cluster = try SettingsCluster()
    try await cluster.run { client in
      _ = try await client.patch(#"{"access.revoked_streams": "end"}"#)
    }
    try await cluster.run { client in
      let stored = try await client.get().setting("access.revoked_streams")
      #expect(stored.value == .text("end"))
      #expect(cluster.tables.last?.epoch == 2)
      #expect(
        cluster.tables.last?.overrides.choice(.revokedStreams, as: RevokedStreams.self) == .end)
    }
  }

  @Test("stored settings of a later version are left out, and a damaged one prevents the start")
  func laterVersion() async throws {
    let cluster = try SettingsCluster()
    try await cluster.run { client in
      _ = try await client.patch(#"{"dispatcher.max_tasks": 8}"#)
    }
    try cluster.edit(
      #"UPDATE settings SET record = '{"dispatcher.max_tasks":8,"later.list":[1.5],"on":true}'"#)
    try await cluster.run { client in
      let shown = try await client.get()
      #expect(try shown.setting("dispatcher.max_tasks").value == .number(8))
      #expect(try await client.patch(#"{"dispatcher.max_tasks": 9}"#).status == 200)
    }
    try cluster.edit(#"UPDATE settings SET record = '{"dispatcher.max_tasks":true}'"#)
    let error = await #expect(throws: Failure.self) { try await cluster.run { _ in } }
    #expect(error?.code == .storeDamaged)
  }

  @Test(
    "a wrong member is refused with its name, and nothing is changed",
    arguments: [
      (#"{"gateway.max_request": 1}"#, "gateway.max_request"),
      (#"{"gateway.max_requests": 0}"#, "gateway.max_requests"),
      (#"{"gateway.max_requests": 1.5}"#, "gateway.max_requests"),
      (#"{"gateway.max_requests": 1e30}"#, "gateway.max_requests"),
      (#"{"gateway.max_requests": "1024"}"#, "gateway.max_requests"),
      (#"{"inference.race": "triple"}"#, "inference.race"),
      (#"{"inference.race": ["dual"]}"#, "inference.race"),
      (#"{"gateway.plans_per_client": 5, "inference.race": 2}"#, "inference.race"),
    ])
  func wrong(json: String, param: String) async throws {
    let cluster = try SettingsCluster()
    try await cluster.run { client in
      let answer = try await client.patch(json)
      #expect(answer.status == 400 && answer.param == param)
      #expect(try await client.get().tag == "\"0\"")
      #expect(!cluster.hasOverrides)
    }
  }

  @Test("a body that is no object is refused", arguments: ["", "[]", "null", "{"])
  func noObject(json: String) async throws {
    try await SettingsCluster().run { client in
      let answer = try await client.patch(json)
      #expect(answer.status == 400)
    }
  }

  @Test("a change of a list that another admin has changed is refused")
  func conflict() async throws {
    try await SettingsCluster().run { client in
      let first = try await client.patch(#"{"dispatcher.max_tasks": 8}"#, ifMatch: "\"0\"")
      #expect(first.status == 200)
      let second = try await client.patch(#"{"dispatcher.max_tasks": 9}"#, ifMatch: "\"0\"")
      #expect(second.status == 412)
      let third = try await client.patch(#"{"dispatcher.max_tasks": 9}"#, ifMatch: first.tag)
      #expect(third.status == 200)
    }
  }

  @Test("a change that changes nothing is not recorded")
  func same() async throws {
    try await SettingsCluster().run { client in
      let first = try await client.patch(#"{"dispatcher.max_tasks": 8}"#)
      #expect(try await client.patch(#"{"dispatcher.max_tasks": 8}"#).tag == first.tag)
      #expect(try await client.patch("{}").tag == first.tag)
      #expect(try await client.store.audit(AuditQuery(kind: "setting")).count == 1)
    }
  }

  @Test("a change that cannot be stored has no effect")
  func failedWrite() async throws {
    let cluster = try SettingsCluster()
    try await cluster.run { client in
      try cluster.edit(
        "CREATE TRIGGER full BEFORE INSERT ON settings BEGIN SELECT RAISE(ABORT, 'disk full'); END")
      #expect(try await client.patch(#"{"dispatcher.max_tasks": 8}"#).status >= 500)
      #expect(try await client.get().tag == "\"0\"")
      #expect(!cluster.hasOverrides)
      try cluster.edit("DROP TRIGGER full")
      #expect(try await client.patch(#"{"dispatcher.max_tasks": 8}"#).status == 200)
    }
  }

  @Test("changes at the same time are made one after another, and none is lost")
  func concurrent() async throws {
    let cluster = try SettingsCluster()
    try await cluster.run { client in
      let ids = RuntimeSetting.allCases.filter { $0.maximum != nil }.map(\.id)
      try await withThrowingTaskGroup(of: Int.self) { group in
        for id in ids { group.addTask { try await client.patch(#"{"\#(id)": 3}"#).status } }
        for try await status in group { #expect(status == 200) }
      }
      #expect(cluster.tables.last?.overrides.texts.map(\.id) == ids.sorted())
    }
  }

  @Test("requests without the admin token are refused")
  func token() async throws {
    try await SettingsCluster().run { client in
      for method in [HTTPRequest.Method.get, .patch] {
        let answer = try await client.send(method, "{}", as: "wrong")
        #expect(answer.status == 401)
      }
    }
  }
}
