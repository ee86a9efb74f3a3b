import ClusterModel
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
    /// A key of the same form that does not exist.
    private static func changed(_ secret: String) -> String {
      String(secret.dropLast(2)) + (secret.hasSuffix("AA") ? "BA" : "AA")
    }

    private struct Change: Decodable {
      let author: String
      let id: String
    }

    private let cluster: RunningCluster

    init() throws { cluster = try RunningCluster.current() }

    @Test("after the first key, requests need one, and a revoked key ends within a second")
    func firstKey() async throws {
      let (id, secret) = try await cluster.createKey(#"{"name": "laptop"}"#)
      let refusal = try await cluster.chat(nil)
      #expect(refusal.status == 401 && refusal.headers.first(name: "www-authenticate") == "Bearer")
      #expect(try await cluster.chat(secret).status == 200)
      #expect(try await cluster.chat(Self.changed(secret)).status == 401)

      let shown = try await cluster.admin(.GET, "/keys/\(id)")
      #expect(!String(decoding: shown.body, as: UTF8.self).contains(secret.suffix(43)))
      let tag = try #require(shown.headers.first(name: "etag"))
      let late = try await cluster.admin(
        .PATCH, "/keys/\(id)", #"{"name": "tower"}"#, ifMatch: #""0""#)
      #expect(late.status == 412)
      let patched = try await cluster.admin(
        .PATCH, "/keys/\(id)", #"{"name": "tower"}"#, ifMatch: tag)
      #expect(patched.status == 200 && patched.headers.first(name: "etag") != tag)

      #expect(
        try await cluster.admin(.DELETE, "/keys/\(id)").json(CreatedKey.self).state == "revoked")
      _ = try await eventually("the revoked key is refused", within: .seconds(1)) { () -> Bool? in
        try await cluster.chat(secret).status == 401 ? true : nil
      }
      // The last key is gone, and the cluster stays closed.
      #expect(try await cluster.chat(nil).status == 401)
      let audit = try await cluster.admin(.GET, "/audit?kind=key&id=\(id)")
        .json(ReplyList<Change>.self)
      #expect(audit.data.map(\.author) == ["admin-token", "admin-token", "admin-token"])
    }

    @Test("a key sees and uses only its models, at its rate")
    func permissions() async throws {
      let (_, secret) = try await cluster.createKey(
        #"{"name": "ci", "permissions": {"models": ["\#(FaultyHosts.model)"]}}"#)
      let models = try await cluster.models(secret)
      #expect(
        models.contains(FaultyHosts.model) && !models.contains(KeyHosts.otherModel), "\(models)")
      #expect(try await cluster.chat(secret, model: KeyHosts.otherModel).status == 403)

      let (_, limited) = try await cluster.createKey(
        #"{"name": "slow", "limits": {"requests_per_day": 1}}"#)
      let first = try await cluster.chat(limited)
      #expect(first.status == 200)
      #expect(first.headers.first(name: "x-ratelimit-limit-requests") == "1", "\(first.headers)")
      for _ in 0..<2 {
        // The request for the usage counts against no limit.
        let usage = try await cluster.send(.GET, cluster.gateway + "/v1/usage?days=1", limited)
        #expect(usage.status == 200)
        #expect(usage.text.contains(#""total":{"requests":1,"#), "\(usage.text)")
        #expect(usage.text.contains(#""requests_per_day":{"limit":1,"share":1,"remaining":0,"#))
        #expect(usage.text.contains(#""model":"\#(FaultyHosts.model)""#))
      }
      let second = try await cluster.chat(limited)
      #expect(second.status == 429)
      #expect(second.headers.first(name: "retry-after").flatMap { Int($0) } ?? 0 > 0)
      #expect(second.headers.first(name: "x-ratelimit-remaining-requests") == "0")
    }

    @Test("the admin API accepts keys with its scopes, and refuses unknown members by name")
    func adminScopes() async throws {
      let (id, reader) = try await cluster.createKey(
        #"{"name": "auditor", "scopes": ["admin:read"]}"#)
      let keys = cluster.registry + "/admin/v1/keys"
      #expect(try await cluster.send(.GET, keys, reader).status == 200)
      #expect(try await cluster.send(.POST, keys, reader, #"{"name": "b"}"#).status == 403)
      #expect(try await cluster.chat(reader).status == 403)
      let metrics = cluster.registry + "/metrics"
      #expect(try await cluster.send(.GET, metrics, reader).status == 403)
      let (_, scraper) = try await cluster.createKey(#"{"name": "prom", "scopes": ["metrics"]}"#)
      #expect(try await cluster.send(.GET, metrics, scraper).status == 200)
      // The planner learns from the registry that keys exist, and has no copy of them.
      let planned = try await eventually("the planner's metrics are closed") { () -> Int? in
        let status = try await cluster.send(.GET, cluster.planner + "/metrics", scraper).status
        return status == 200 ? nil : status
      }
      #expect(planned == 403)
      let (writerID, writer) = try await cluster.createKey(
        #"{"name": "ops", "scopes": ["admin:write"]}"#)
      #expect(try await cluster.send(.GET, keys, writer).status == 200)
      #expect(try await cluster.send(.POST, "\(keys)/\(id)/disable", writer).status == 200)
      let audit = try await cluster.admin(.GET, "/audit?id=\(id)&limit=1")
        .json(ReplyList<Change>.self)
      #expect(audit.data.map(\.author) == ["key tutti-\(writerID)"])
      #expect(try await cluster.send(.GET, keys, reader).status == 401)

      let unknown = try await cluster.admin(.POST, "/keys", #"{"name": "b", "limit": {}}"#)
      #expect(unknown.status == 400)
      #expect(String(decoding: unknown.body, as: UTF8.self).contains(#""param":"limit""#))
      #expect(try await cluster.admin(.GET, "/keys/aaaaaaaaaaaa").status == 404)
    }

    @Test("while the registry is away, known keys pass and others do not")
    func registryAway() async throws {
      let (id, secret) = try await cluster.createKey(#"{"name": "laptop"}"#)
      let registry = try #require(try await cluster.children()["tutti-registry"])
      kill(registry, SIGKILL)
      #expect(try await cluster.chat(secret).status == 200)
      #expect(try await cluster.chat(Self.changed(secret)).status == 401)
      #expect(try await cluster.chat(nil).status == 401)
      // The restarted registry has the key, too.
      let state = try await eventually("the registry is back") { () -> String? in
        guard let reply = try? await cluster.admin(.GET, "/keys/\(id)"), reply.status == 200 else {
          return nil
        }
        return try reply.json(CreatedKey.self).state
      }
      #expect(state == "active")
      let rotated = try await cluster.admin(.POST, "/keys/\(id)/rotate", #"{"grace_ms": 0}"#)
      let new = try #require(try rotated.json(CreatedKey.self).key)
      _ = try await eventually("the gateway knows the new key") { () -> Bool? in
        try await cluster.chat(new).status == 200 ? true : nil
      }
      #expect(try await cluster.chat(secret).status == 401)
    }
  }
}
