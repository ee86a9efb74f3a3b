import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import RegistryCore
import ServiceKit

/// `/admin/v1`: the hosts and processes for an operator. OpenAPI.swift describes it.
struct AdminAPI: Sendable {
  let shell: RegistryShell
  let token: AdminToken

  /// Permitted page lengths. 1,000 hosts in one answer are 300 KB without their models.
  private static let pages = 1...1_000
  /// Permitted waits in milliseconds. A probe takes at most 2 s, so no client needs longer.
  private static let waits = 0...30_000

  func addRoutes(to router: Router<BasicRequestContext>) {
    route(router, .get, "/admin/v1/hosts") { request, _ in try listHosts(request) }
    route(router, .post, "/admin/v1/hosts") { request, _ in try await addHost(request) }
    route(router, .get, "/admin/v1/hosts/:id") { _, id in
      guard let host = shell.host(id) else { throw AdminFailure(notFound: id) }
      return json(described(host))
    }
    route(router, .patch, "/admin/v1/hosts/:id") { request, id in
      let patch = try await HostFields(request).patch()
      return json(
        described(
          try await shell.change { hosts, _ throws(Failure) in try hosts.patch(id, patch) }))
    }
    route(router, .post, "/admin/v1/hosts/:id/suspend") { _, id in
      json(described(try await shell.change { hosts, _ throws(Failure) in try hosts.suspend(id) }))
    }
    route(router, .post, "/admin/v1/hosts/:id/resume") { request, id in
      try await look(request) { hosts, now throws(Failure) in try hosts.resume(id, now: now) }
    }
    route(router, .post, "/admin/v1/hosts/:id/probe") { request, id in
      try await look(request) { hosts, now throws(Failure) in try hosts.probe(id, now: now) }
    }
    route(router, .delete, "/admin/v1/hosts/:id") { _, id in
      try await shell.remove(id)
      return json(Removed(id: id.name))
    }
    route(router, .get, "/admin/v1/services") { _, _ in
      json(Page(data: shell.peerTable.peers.map(PeerJSON.init), hasMore: false))
    }
    // Needs no token: the client calls this before it sends the token.
    router.get("/admin/v1/proof") { request, _ in
      let nonce = request.uri.queryParameters["nonce"].map(String.init) ?? ""
      guard let proof = token.proof(of: nonce) else {
        return AdminFailure(
          Failure(.invalidRequest, "nonce must have \(AdminProof.nonceDigits) hexadecimal digits."),
          param: "nonce"
        ).response
      }
      return json(Proof(proof: proof))
    }
    route(router, .get, "/admin/v1/openapi.json") { _, _ in
      body(Array(adminOpenAPI.utf8), .ok)
    }
  }

  // MARK: - Handlers

  private func described(_ host: ClusterModel.Host) -> HostJSON {
    HostJSON(host, load: shell.load(of: host.id))
  }

  /// Makes a change after which a host is probed.
  /// Answers with the host when the probe has ended or the client's wait has passed.
  private func look(
    _ request: Request,
    _ change:
      @escaping @Sendable (inout HostRegistry, Instant) throws(Failure) -> (
        host: ClusterModel.Host, directives: [HostRegistry.Directive]
      )
  ) async throws -> Response {
    json(described(try await shell.change(waiting: try wait(request), change)))
  }

  private func listHosts(_ request: Request) throws -> Response {
    let limit = try number(request, "limit", in: Self.pages, or: 100)
    let after = request.uri.queryParameters["after"].map(String.init)
    let hosts = shell.hostTable.hosts.sorted { $0.id < $1.id }
      .filter { host in after.map { host.id.name > $0 } ?? true }
    return json(
      Page(data: hosts.prefix(limit).map(described), hasMore: hosts.count > limit))
  }

  private func addHost(_ request: Request) async throws -> Response {
    let draft = try await HostFields(request).draft()
    let wait = try wait(request)
    do throws(Failure) {
      let host = try await shell.change(waiting: wait) { hosts, now throws(Failure) in
        try hosts.add(draft, now: now)
      }
      return json(described(host), .created)
    } catch {
      // Only members that `faulty` checks can be wrong here; the parser has checked the others.
      throw AdminFailure(error, param: error.code == .invalidRequest ? draft.faulty : nil)
    }
  }

  private func wait(_ request: Request) throws -> Duration {
    .milliseconds(try number(request, "wait_ms", in: Self.waits, or: 0))
  }

  private func number(
    _ request: Request, _ name: String, in range: ClosedRange<Int>, or fallback: Int
  ) throws -> Int {
    guard let text = request.uri.queryParameters[name[...]] else { return fallback }
    guard let number = Int(text), range.contains(number) else {
      throw AdminFailure(
        Failure(
          .invalidRequest,
          "\(name) must be a whole number from \(range.lowerBound) to \(range.upperBound)."),
        param: name)
    }
    return number
  }

  // MARK: - Helpers

  private func route(
    _ router: Router<BasicRequestContext>, _ method: HTTPRequest.Method, _ path: RouterPath,
    _ handler: @escaping @Sendable (Request, HostID) async throws -> Response
  ) {
    router.on(path, method: method) { request, context in
      do {
        try authorise(request)
        let id = context.parameters.get("id") ?? ""
        return try await handler(request, HostID(id.removingPercentEncoding ?? id))
      } catch let failure as AdminFailure {
        return failure.response
      } catch let failure as Failure {
        return AdminFailure(failure).response
      }
    }
  }

  private struct Proof: Encodable {
    var object = "proof"
    var proof: String

    init(proof: String) { self.proof = proof }
  }

  private func authorise(_ request: Request) throws {
    let header = request.headers[.authorization] ?? ""
    guard header.lowercased().hasPrefix("bearer ") else {
      throw AdminFailure(
        Failure(
          .invalidAPIKey,
          "Send the admin token (DATA_DIR/admin-token) as Authorization: Bearer TOKEN."))
    }
    guard token.matches(String(header.dropFirst(7))) else {
      throw AdminFailure(
        Failure(
          .invalidAPIKey,
          "The token is not the admin token of this cluster, which is in DATA_DIR/admin-token "
            + "unless the registry was started with TUTTI_ADMIN_TOKEN."))
    }
  }
}

/// An error of the admin API with its status.
struct AdminFailure: Error {
  var failure: Failure
  var param: String?

  init(_ failure: Failure, param: String? = nil) {
    self.failure = failure
    self.param = param
  }

  init(notFound id: HostID) {
    self.init(
      Failure(
        .hostNotFound,
        "There is no host \(id); `tutti hosts list` or GET /admin/v1/hosts lists all hosts."))
  }

  var response: Response {
    // These two codes exist only in this API; all others are in the common table.
    let status: HTTPResponse.Status
    switch failure.code {
    case .hostExists: status = .conflict
    case .hostNotFound: status = .notFound
    default: return jsonError(failure, param: param)
    }
    let error = ErrorBody(
      message: failure.message, type: "invalid_request_error", param: param,
      code: failure.code.rawValue)
    return body(error.json, status)
  }
}

extension HostDraft {
  /// The member that the core refused, for the error's `param`.
  fileprivate var faulty: String {
    if (try? HostAddress(url)) == nil { return "url" }
    if let id, (try? HostAddress.check(id: id.name)) == nil { return "id" }
    guard slots.map({ (1...65_536).contains($0) }) ?? true else { return "slots" }
    if HostRegistry.isUnfit(models: models) { return "models" }
    return Host.prices.contains(pricePerMillion) ? "credential" : "price_per_million"
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
  // Tutti's own types hold no value that JSON lacks.
  guard let data = try? encoder.encode(value) else {
    return jsonError(Failure(.internalError, "The answer could not be written as JSON."))
  }
  return body(Array(data), status)
}
