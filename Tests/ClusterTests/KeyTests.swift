import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

private enum KeyHosts {
  static let otherModel = "other-model"

  /// A host with two models.
  @Sendable static func one() async throws -> [FaultyHost] {
    [
      try await .started(
        FaultyHostConfiguration(
          models: [FaultyHosts.model, otherModel], answer: .text(FaultyHosts.answer),
          dialect: .openai))
    ]
  }
}

extension ProcessTests {
  @Suite(
    "Keys of a cluster", .serialized,
    .cluster { try await RunningCluster.start(.faulty(KeyHosts.one())) })
  struct KeyTests {
    private struct Key: Decodable {
      let id: String
      let state: String
      let key: String?
    }

    private struct List<Item: Decodable>: Decodable { let data: [Item] }

    private struct Named: Decodable { let id: String }

    private struct Change: Decodable {
      let author: String
      let id: String
    }

    private struct Reply {
      let status: Int
      let headers: HTTPHeaders
      let body: Data

      func json<Value: Decodable>(_: Value.Type) throws -> Value {
        try JSONDecoder().decode(Value.self, from: body)
      }
    }

    private let cluster: RunningCluster

    init() throws { cluster = try RunningCluster.current() }

    private func send(
      _ method: HTTPMethod, _ url: String, _ secret: String?, _ json: String? = nil,
      ifMatch: String? = nil
    ) async throws -> Reply {
      var request = HTTPClientRequest(url: url)
      request.method = method
      if let secret { request.headers.add(name: "authorization", value: "Bearer \(secret)") }
      if let ifMatch { request.headers.add(name: "if-match", value: ifMatch) }
      if let json { request.body = .bytes(ByteBuffer(string: json)) }
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
      let body = try await response.body.collect(upTo: 4 << 20)
      return Reply(
        status: Int(response.status.code), headers: response.headers,
        body: Data(body.readableBytesView))
    }

    private func admin(
      _ method: HTTPMethod, _ path: String, _ json: String? = nil, ifMatch: String? = nil
    ) async throws -> Reply {
      try await send(
        method, cluster.registry + "/admin/v1" + path, cluster.adminToken(), json,
        ifMatch: ifMatch)
    }

    /// Creates a key, and waits until the gateway knows it.
    private func create(_ json: String) async throws -> (id: String, secret: String) {
      let reply = try await admin(.POST, "/keys", json)
      #expect(reply.status == 201, "\(String(decoding: reply.body, as: UTF8.self))")
      let key = try reply.json(Key.self)
      let secret = try #require(key.key)
      _ = try await eventually("the gateway knows the key") { () -> Bool? in
        try await send(.GET, cluster.gateway + "/v1/models", secret).status == 200 ? true : nil
      }
      return (key.id, secret)
    }

    private func chat(_ secret: String?, model: String = FaultyHosts.model) async throws -> Reply {
      try await send(
        .POST, cluster.gateway + "/v1/chat/completions", secret,
        #"{"model":"\#(model)","messages":[{"role":"user","content":"Hello"}]}"#)
    }

    @Test("after the first key, requests need one, and a revoked key ends within a second")
    func firstKey() async throws {
      let (id, secret) = try await create(#"{"name": "laptop"}"#)
      let refusal = try await chat(nil)
      #expect(refusal.status == 401 && refusal.headers.first(name: "www-authenticate") == "Bearer")
      #expect(try await chat(secret).status == 200)
      #expect(try await chat(String(secret.dropLast(2)) + "AA").status == 401)

      let shown = try await admin(.GET, "/keys/\(id)")
      #expect(!String(decoding: shown.body, as: UTF8.self).contains(secret.suffix(43)))
      let tag = try #require(shown.headers.first(name: "etag"))
      let late = try await admin(.PATCH, "/keys/\(id)", #"{"name": "tower"}"#, ifMatch: #""0""#)
      #expect(late.status == 412)
      let patched = try await admin(.PATCH, "/keys/\(id)", #"{"name": "tower"}"#, ifMatch: tag)
      #expect(patched.status == 200 && patched.headers.first(name: "etag") != tag)

      #expect(try await admin(.DELETE, "/keys/\(id)").json(Key.self).state == "revoked")
      _ = try await eventually("the revoked key is refused", within: .seconds(1)) { () -> Bool? in
        try await chat(secret).status == 401 ? true : nil
      }
      // The last key is gone, and the cluster stays closed.
      #expect(try await chat(nil).status == 401)
      let audit = try await admin(.GET, "/audit?kind=key&id=\(id)").json(List<Change>.self)
      #expect(audit.data.map(\.author) == ["admin-token", "admin-token", "admin-token"])
    }

    @Test("a key sees and uses only its models, at its rate")
    func permissions() async throws {
      let (_, secret) = try await create(
        #"{"name": "ci", "permissions": {"models": ["\#(FaultyHosts.model)"]}}"#)
      let models = try await send(.GET, cluster.gateway + "/v1/models", secret)
        .json(List<Named>.self).data.map(\.id)
      #expect(
        models.contains(FaultyHosts.model) && !models.contains(KeyHosts.otherModel), "\(models)")
      #expect(try await chat(secret, model: KeyHosts.otherModel).status == 403)

      let (_, limited) = try await create(
        #"{"name": "slow", "limits": {"requests_per_day": 1}}"#)
      let first = try await chat(limited)
      #expect(first.status == 200)
      #expect(first.headers.first(name: "x-ratelimit-limit-requests") == "1", "\(first.headers)")
      let second = try await chat(limited)
      #expect(second.status == 429)
      #expect(second.headers.first(name: "retry-after").flatMap { Int($0) } ?? 0 > 0)
      #expect(second.headers.first(name: "x-ratelimit-remaining-requests") == "0")
    }

    @Test("the admin API accepts keys with its scopes, and refuses unknown members by name")
    func adminScopes() async throws {
      let (id, reader) = try await create(#"{"name": "auditor", "scopes": ["admin:read"]}"#)
      let keys = cluster.registry + "/admin/v1/keys"
      #expect(try await send(.GET, keys, reader).status == 200)
      #expect(try await send(.POST, keys, reader, #"{"name": "b"}"#).status == 403)
      #expect(try await chat(reader).status == 403)
      let (writerID, writer) = try await create(#"{"name": "ops", "scopes": ["admin:write"]}"#)
      #expect(try await send(.GET, keys, writer).status == 200)
      #expect(try await send(.POST, "\(keys)/\(id)/disable", writer).status == 200)
      let audit = try await admin(.GET, "/audit?id=\(id)&limit=1").json(List<Change>.self)
      #expect(audit.data.map(\.author) == ["key tutti-\(writerID)"])
      #expect(try await send(.GET, keys, reader).status == 401)

      let unknown = try await admin(.POST, "/keys", #"{"name": "b", "limit": {}}"#)
      #expect(unknown.status == 400)
      #expect(String(decoding: unknown.body, as: UTF8.self).contains(#""param":"limit""#))
      #expect(try await admin(.GET, "/keys/aaaaaaaaaaaa").status == 404)
    }

    @Test("while the registry is away, known keys pass and others do not")
    func registryAway() async throws {
      let (id, secret) = try await create(#"{"name": "laptop"}"#)
      let registry = try #require(try await cluster.children()["tutti-registry"])
      kill(registry, SIGKILL)
      #expect(try await chat(secret).status == 200)
      #expect(try await chat(String(secret.dropLast(2)) + "AA").status == 401)
      #expect(try await chat(nil).status == 401)
      // The next registry has the key, too.
      let state = try await eventually("the registry is back") { () -> String? in
        guard let reply = try? await admin(.GET, "/keys/\(id)"), reply.status == 200 else {
          return nil
        }
        return try reply.json(Key.self).state
      }
      #expect(state == "active")
      let rotated = try await admin(.POST, "/keys/\(id)/rotate", #"{"grace_ms": 0}"#)
      let new = try #require(try rotated.json(Key.self).key)
      _ = try await eventually("the gateway knows the new key") { () -> Bool? in
        try await chat(new).status == 200 ? true : nil
      }
      #expect(try await chat(secret).status == 401)
    }
  }
}
