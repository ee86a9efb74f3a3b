import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import RegistryCore
import ServiceKit

/// Routes of `/admin/v1` for hosts, keys and processes. OpenAPI.swift describes them.
struct AdminAPI: Sendable {
  let shell: RegistryShell
  let keys: KeyIssuer
  let accounts: AccountShell
  let gate: AdminGate

  /// Permitted page lengths. 1,000 hosts in one answer are 300 KB without their models.
  static let pages = 1...1_000

  func addRoutes(to router: Router<BasicRequestContext>) {
    addHostRoutes(to: router)
    addKeyRoutes(to: router)
    addAuditRoute(to: router)
    route(router, .get, "/admin/v1/services") { _ in
      json(Page(data: shell.peerTable.peers.map(PeerJSON.init), hasMore: false))
    }
    // This route needs no token, because a client calls it before it sends the token.
    router.get("/admin/v1/proof") { request, _ in
      let nonce = request.uri.queryParameters["nonce"].map(String.init) ?? ""
      guard let proof = gate.token.proof(of: nonce) else {
        return AdminFailure(
          Failure(.invalidRequest, "nonce must have \(AdminProof.nonceDigits) hexadecimal digits."),
          param: "nonce"
        ).response
      }
      return json(Proof(proof: proof))
    }
    route(router, .get, "/admin/v1/openapi.json") { _ in
      body(Array(adminOpenAPI.utf8), .ok)
    }
  }

  /// Adds a route for admins. Every method but GET counts as a change.
  func route(
    _ router: Router<BasicRequestContext>, _ method: HTTPRequest.Method, _ path: RouterPath,
    _ handler: @escaping @Sendable (AdminRequest) async throws -> Response
  ) {
    gate.route(router, method, path, handler)
  }

  private struct Proof: Encodable {
    var object = "proof"
    var proof: String

    init(proof: String) { self.proof = proof }
  }
}

extension AdminGate {
  /// Adds a route for admins. Every method but GET counts as a change.
  func route(
    _ router: Router<BasicRequestContext>, _ method: HTTPRequest.Method, _ path: RouterPath,
    _ handler: @escaping @Sendable (AdminRequest) async throws -> Response
  ) {
    router.on(path, method: method) { request, context in
      do {
        let author = try author(of: request, isChange: method != .get)
        let id = context.parameters.get("id") ?? ""
        return try await handler(
          AdminRequest(http: request, id: id.removingPercentEncoding ?? id, author: author))
      } catch let failure as AdminFailure {
        return failure.response
      } catch let failure as Failure {
        return AdminFailure(failure).response
      }
    }
  }
}

/// A request of an admin.
struct AdminRequest: Sendable {
  let http: Request
  /// The path's parameter. Empty if the path has none.
  let id: String
  /// Name of the admin in the audit log.
  let author: String

  /// A parameter of the query. `nil` means that it is absent.
  func text(_ name: String) -> String? { http.text(name) }

  /// Tags in `If-Match`, with their quotes. `nil` means any.
  var expectedTags: Set<String>? { http.expectedTags }

  func number<Number: FixedWidthInteger & Sendable>(
    _ name: String, in range: ClosedRange<Number>, or fallback: Number
  ) throws -> Number {
    try http.number(name, in: range, or: fallback)
  }
}

extension Request {
  /// A parameter of the query. `nil` means that it is absent.
  func text(_ name: String) -> String? {
    uri.queryParameters[name[...]].map { String($0) }
  }

  /// A whole number of the query.
  func number<Number: FixedWidthInteger & Sendable>(
    _ name: String, in range: ClosedRange<Number>, or fallback: Number
  ) throws -> Number {
    guard let text = text(name) else { return fallback }
    guard let number = Number(text), range.contains(number) else {
      throw AdminFailure(
        invalid: "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound).",
        param: name)
    }
    return number
  }

  /// Tags in `If-Match`, with their quotes. `nil` means any.
  var expectedTags: Set<String>? {
    EntityTags.parse(ifMatch: headers[values: .ifMatch])
  }
}

func body(_ bytes: [UInt8], _ status: HTTPResponse.Status) -> Response {
  Response(
    status: status, headers: [.contentType: "application/json"],
    body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
}

func json(_ value: some Encodable, _ status: HTTPResponse.Status = .ok) -> Response {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  // Encoding cannot fail, because Tutti's own types hold no value that JSON lacks.
  guard let data = try? encoder.encode(value) else {
    return jsonError(Failure(.internalError, "The answer could not be written as JSON."))
  }
  return body(Array(data), status)
}
