import ClusterModel
import HTTPTypes
import Hummingbird
import RegistryCore

/// Routes of `/admin/v1/hosts`.
extension AdminAPI {
  /// Permitted waits in milliseconds, for a probe or for the requests of a drained host.
  static let waits = 0...30_000

  func addHostRoutes(to router: Router<BasicRequestContext>) {
    route(router, .get, "/admin/v1/hosts") { request in try listHosts(request) }
    route(router, .post, "/admin/v1/hosts") { request in try await addHost(request) }
    route(router, .get, "/admin/v1/hosts/:id") { request in
      guard let entry = shell.entry(request.host) else {
        throw AdminFailure(noHost: request.host)
      }
      return response(entry)
    }
    route(router, .patch, "/admin/v1/hosts/:id") { request in
      let patch = try await HostFields(request.http).patch()
      return try await change(request) { hosts, id, now throws(Failure) in
        try hosts.patch(id, patch, now: now)
      }
    }
    route(router, .post, "/admin/v1/hosts/:id/suspend") { request in
      try await change(request) { hosts, id, _ throws(Failure) in try hosts.suspend(id) }
    }
    route(router, .post, "/admin/v1/hosts/:id/drain") { request in try await drain(request) }
    route(router, .post, "/admin/v1/hosts/:id/resume") { request in
      try await change(request, waiting: try wait(request)) { hosts, id, now throws(Failure) in
        try hosts.resume(id, now: now)
      }
    }
    route(router, .post, "/admin/v1/hosts/:id/probe") { request in
      try await change(request, waiting: try wait(request)) { hosts, id, now throws(Failure) in
        try hosts.probe(id, now: now)
      }
    }
    route(router, .delete, "/admin/v1/hosts/:id") { request in
      try await shell.remove(
        request.host, expecting: request.expectedTags, by: request.author)
      return json(Removed(id: request.id))
    }
  }

  private func described(_ entry: RegistryShell.HostEntry) -> HostJSON {
    HostJSON(entry, load: shell.load(of: entry.host.id), now: shell.now)
  }

  private func response(
    _ entry: RegistryShell.HostEntry, _ status: HTTPResponse.Status = .ok
  ) -> Response {
    var response = json(described(entry), status)
    response.headers[.eTag] = entry.settings.tag
    return response
  }

  /// Makes a change if the host has the expected ETag.
  ///
  /// - Parameter wait: maximum wait for the host's next probe before the answer.
  private func change(
    _ request: AdminRequest, waiting wait: Duration = .zero,
    _ change:
      @escaping @Sendable (inout HostRegistry, HostID, Instant) throws(Failure) -> (
        host: ClusterModel.Host, directives: [HostRegistry.Directive]
      )
  ) async throws -> Response {
    let (id, expected) = (request.host, request.expectedTags)
    return response(
      try await shell.change(by: request.author, waiting: wait) { hosts, now throws(Failure) in
        try hosts.expect(expected, of: id)
        return try change(&hosts, id, now)
      })
  }

  /// Drains a host. The answer is sent when the host has no request in flight or the client's wait
  /// has passed.
  private func drain(_ request: AdminRequest) async throws -> Response {
    let (id, expected) = (request.host, request.expectedTags)
    let wait = try wait(request)
    let entry = try await shell.change(by: request.author) { hosts, _ throws(Failure) in
      try hosts.expect(expected, of: id)
      return try hosts.drain(id)
    }
    await shell.waitUntilIdle(id, within: wait)
    return response(shell.entry(id) ?? entry)
  }

  private func listHosts(_ request: AdminRequest) throws -> Response {
    let limit = try request.number("limit", in: Self.pages, or: 100)
    let after = request.text("after")
    let filter = try request.hostFilter
    let registry = shell.hosts
    let hosts = registry.table.hosts.sorted { $0.id < $1.id }
      .filter { host in (after.map { host.id.name > $0 } ?? true) && filter.admits(host) }
    let page = hosts.prefix(limit).compactMap { RegistryShell.HostEntry($0.id, in: registry) }
    let (loads, now) = (shell.loads, shell.now)
    return json(
      Page(
        data: page.map { HostJSON($0, load: loads[$0.host.id], now: now) },
        hasMore: hosts.count > limit))
  }

  private func addHost(_ request: AdminRequest) async throws -> Response {
    let draft = try await HostFields(request.http).draft()
    let wait = try wait(request)
    do throws(Failure) {
      let entry = try await shell.change(by: request.author, waiting: wait) {
        hosts, now throws(Failure) in
        try hosts.add(draft, now: now)
      }
      return response(entry, .created)
    } catch {
      // The parser has checked all members except those that `faulty` checks.
      throw AdminFailure(error, param: error.code == .invalidRequest ? draft.faulty : nil)
    }
  }

  private func wait(_ request: AdminRequest) throws -> Duration {
    .milliseconds(try request.number("wait_ms", in: Self.waits, or: 0))
  }
}

extension AdminRequest {
  fileprivate var host: HostID { HostID(id) }

  fileprivate var hostFilter: HostFilter {
    get throws {
      var filter = HostFilter(tag: text("tag"), model: text("model").map { ModelID($0) })
      guard let state = text("state") else { return filter }
      filter.state = HostState(rawValue: state)
      guard filter.state != nil else {
        let known = HostState.allCases.map(\.rawValue).joined(separator: ", ")
        throw AdminFailure(
          Failure(.invalidRequest, "state must be one of \(known)."), param: "state")
      }
      return filter
    }
  }
}

extension HostDraft {
  /// Name of the member that the core refused, for the error's `param`.
  fileprivate var faulty: String {
    if (try? HostAddress(url)) == nil { return "url" }
    if let id, (try? HostAddress.check(id: id.name)) == nil { return "id" }
    guard slots.map({ (1...65_536).contains($0) }) ?? true else { return "slots" }
    return HostRegistry.isUnfit(models: models) ? "models" : "credential"
  }
}
