import ClusterModel
import HTTPTypes
import Hummingbird
import RegistryCore

/// `/admin/v1/hosts`.
extension AdminAPI {
  /// Permitted waits in milliseconds. A probe takes at most 2 s, so no client needs longer.
  private static let waits = 0...30_000

  func addHostRoutes(to router: Router<BasicRequestContext>) {
    route(router, .get, "/admin/v1/hosts") { request in try listHosts(request) }
    route(router, .post, "/admin/v1/hosts") { request in try await addHost(request) }
    route(router, .get, "/admin/v1/hosts/:id") { request in
      guard let host = shell.host(request.host) else { throw AdminFailure(notFound: request.host) }
      return json(described(host))
    }
    route(router, .patch, "/admin/v1/hosts/:id") { request in
      let id = request.host
      let patch = try await HostFields(request.http).patch()
      return json(
        described(
          try await shell.change { hosts, _ throws(Failure) in try hosts.patch(id, patch) }))
    }
    route(router, .post, "/admin/v1/hosts/:id/suspend") { request in
      let id = request.host
      return json(
        described(try await shell.change { hosts, _ throws(Failure) in try hosts.suspend(id) }))
    }
    route(router, .post, "/admin/v1/hosts/:id/resume") { request in
      let id = request.host
      return try await look(request) { hosts, now throws(Failure) in
        try hosts.resume(id, now: now)
      }
    }
    route(router, .post, "/admin/v1/hosts/:id/probe") { request in
      let id = request.host
      return try await look(request) { hosts, now throws(Failure) in
        try hosts.probe(id, now: now)
      }
    }
    route(router, .delete, "/admin/v1/hosts/:id") { request in
      try await shell.remove(request.host)
      return json(Removed(id: request.id))
    }
  }

  private func described(_ host: ClusterModel.Host) -> HostJSON {
    HostJSON(host, load: shell.load(of: host.id))
  }

  /// Makes a change after which a host is probed.
  /// Answers with the host when the probe has ended or the client's wait has passed.
  private func look(
    _ request: AdminRequest,
    _ change:
      @escaping @Sendable (inout HostRegistry, Instant) throws(Failure) -> (
        host: ClusterModel.Host, directives: [HostRegistry.Directive]
      )
  ) async throws -> Response {
    json(described(try await shell.change(waiting: try wait(request), change)))
  }

  private func listHosts(_ request: AdminRequest) throws -> Response {
    let limit = try request.number("limit", in: Self.pages, or: 100)
    let after = request.text("after")
    let hosts = shell.hostTable.hosts.sorted { $0.id < $1.id }
      .filter { host in after.map { host.id.name > $0 } ?? true }
    return json(
      Page(data: hosts.prefix(limit).map(described), hasMore: hosts.count > limit))
  }

  private func addHost(_ request: AdminRequest) async throws -> Response {
    let draft = try await HostFields(request.http).draft()
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

  private func wait(_ request: AdminRequest) throws -> Duration {
    .milliseconds(try request.number("wait_ms", in: Self.waits, or: 0))
  }
}

extension AdminRequest {
  fileprivate var host: HostID { HostID(id) }
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
