import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import Testing

/// An answer of one of a cluster's servers.
struct ServerReply {
  let status: Int
  let headers: HTTPHeaders
  let body: Data

  var text: String { String(decoding: body, as: UTF8.self) }

  func json<Value: Decodable>(_: Value.Type) throws -> Value {
    try JSONDecoder().decode(Value.self, from: body)
  }
}

/// A list in an answer.
struct ReplyList<Item: Decodable>: Decodable { let data: [Item] }

/// An object in an answer of which only the id matters.
struct ReplyID: Decodable { let id: String }

/// A key as the admin API describes it.
struct CreatedKey: Decodable {
  let id: String
  let state: String
  /// The whole key. `nil` except in the answer to a creation or rotation.
  let key: String?
}

/// Requests with keys, and requests of an admin.
extension RunningCluster {
  func send(
    _ method: HTTPMethod, _ url: String, _ secret: String?, _ json: String? = nil,
    ifMatch: String? = nil
  ) async throws -> ServerReply {
    var request = HTTPClientRequest(url: url)
    request.method = method
    if let secret { request.headers.add(name: "authorization", value: "Bearer \(secret)") }
    if let ifMatch { request.headers.add(name: "if-match", value: ifMatch) }
    if let json { request.body = .bytes(ByteBuffer(string: json)) }
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    let body = try await response.body.collect(upTo: 4 << 20)
    return ServerReply(
      status: Int(response.status.code), headers: response.headers,
      body: Data(body.readableBytesView))
  }

  func admin(
    _ method: HTTPMethod, _ path: String, _ json: String? = nil, ifMatch: String? = nil
  ) async throws -> ServerReply {
    try await send(method, registry + "/admin/v1" + path, adminToken(), json, ifMatch: ifMatch)
  }

  /// Ids of the models that the gateway lists for a key.
  func models(_ secret: String) async throws -> [String] {
    try await send(.GET, gateway + "/v1/models", secret).json(ReplyList<ReplyID>.self).data
      .map(\.id)
  }

  /// Id of the host with this URL.
  func hostID(at url: String) async throws -> String {
    struct Host: Decodable {
      let id: String
      let url: String
    }
    let hosts = try await admin(.GET, "/hosts").json(ReplyList<Host>.self).data
    return try #require(hosts.first { $0.url == url }).id
  }

  /// Creates a key, and waits until the gateway knows it.
  func createKey(_ json: String) async throws -> (id: String, secret: String) {
    let reply = try await admin(.POST, "/keys", json)
    #expect(reply.status == 201, "\(reply.text)")
    let key = try reply.json(CreatedKey.self)
    let secret = try #require(key.key)
    _ = try await eventually("the gateway knows the key") { () -> Bool? in
      try await send(.GET, gateway + "/v1/models", secret).status == 200 ? true : nil
    }
    return (key.id, secret)
  }

  /// Sends a chat request.
  /// - Parameter more: more members of the body, each after a comma.
  func chat(
    _ secret: String?, model: String = FaultyHosts.model, more: String = ""
  ) async throws -> ServerReply {
    try await send(
      .POST, gateway + "/v1/chat/completions", secret,
      #"{"model":"\#(model)","messages":[{"role":"user","content":"Hello"}]\#(more)}"#)
  }
}
