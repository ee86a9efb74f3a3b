import Access
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import RegistryCore

/// Routes of `/admin/v1/keys`.
extension AdminAPI {
  func addKeyRoutes(to router: Router<BasicRequestContext>) {
    route(router, .get, "/admin/v1/keys") { request in
      let limit = try request.number("limit", in: Self.pages, or: 100)
      let page = keys.page(
        after: request.text("after"), limit: limit, matching: try request.keyFilter)
      return json(
        KeyPage(
          page: Page(data: page.entries.map { KeyJSON($0.record) }, hasMore: page.hasMore),
          isOpen: gate.isOpen))
    }
    route(router, .post, "/admin/v1/keys") { request in
      let settings = try await KeyFields(request.http).settings()
      let issued = try await keys.change(by: request.author) { keys, pepper, now throws(Failure) in
        try keys.create(
          settings, random: KeyPepper.random(APIKey.randomByteCount), pepper: pepper, at: now)
      }
      return response(issued, .created)
    }
    route(router, .get, "/admin/v1/keys/:id") { request in
      guard let entry = keys.entry(try request.key) else { throw request.noKey }
      return response(KeyIssuer.Issued(entry: entry, key: nil))
    }
    route(router, .patch, "/admin/v1/keys/:id") { request in
      let (id, expected) = (try request.key, request.expectedRevisions)
      let settings = try await KeyFields(request.http).settings()
      return response(
        try await keys.change(by: request.author) { keys, _, now throws(Failure) in
          try keys.patch(id, settings, expected: expected, at: now)
        })
    }
    route(router, .post, "/admin/v1/keys/:id/rotate") { request in
      let (id, expected) = (try request.key, request.expectedRevisions)
      let grace = try await KeyFields(request.http).grace()
      let random = KeyPepper.random(APIKey.randomByteCount)
      let plan: KeyIssuer.Plan = { keys, pepper, now throws(Failure) in
        try keys.rotate(
          id, grace: grace, expected: expected, random: random, pepper: pepper, at: now)
      }
      try keys.check(plan)
      // Budgets are copied before the new key exists, so that all its requests count against them.
      if let new = APIKey(random: random)?.id {
        try await accounts.copyBudgets(of: id, to: new, by: request.author)
      }
      return response(try await keys.change(by: request.author, plan), .created)
    }
    for (action, state) in [("disable", KeyState.disabled), ("enable", .active)] {
      route(router, .post, RouterPath("/admin/v1/keys/:id/\(action)")) { request in
        try await set(state, request)
      }
    }
    route(router, .delete, "/admin/v1/keys/:id") { request in try await set(.revoked, request) }
  }

  private func set(_ state: KeyState, _ request: AdminRequest) async throws -> Response {
    let (id, expected) = (try request.key, request.expectedRevisions)
    return response(
      try await keys.change(by: request.author) { keys, _, _ throws(Failure) in
        try keys.set(state, of: id, expected: expected)
      })
  }

  private func response(
    _ issued: KeyIssuer.Issued, _ status: HTTPResponse.Status = .ok
  ) -> Response {
    var response = json(KeyJSON(issued.entry.record, key: issued.key), status)
    response.headers[.eTag] = "\"\(issued.entry.revision)\""
    // The answer may contain a secret.
    response.headers[.cacheControl] = "no-store"
    return response
  }
}

extension AdminRequest {
  fileprivate var key: KeyID {
    get throws {
      // Lists show a key's id after the prefix `tutti-`, and people copy that prefix, too.
      let text = id.hasPrefix("tutti-") ? String(id.dropFirst("tutti-".count)) : id
      guard let key = KeyID(text) else { throw noKey }
      return key
    }
  }

  fileprivate var keyFilter: KeyFilter {
    get throws {
      let account = text("account").map { AccountPath($0) }
      if case .some(nil) = account {
        throw AdminFailure(
          invalid: "account must be ORGANISATION or ORGANISATION/TEAM.", param: "account")
      }
      let state = text("state").map { KeyState(rawValue: $0) }
      if case .some(nil) = state {
        let known = KeyState.allCases.map(\.rawValue).joined(separator: ", ")
        throw AdminFailure(invalid: "state must be one of \(known).", param: "state")
      }
      return KeyFilter(account: account ?? nil, state: state ?? nil)
    }
  }

  fileprivate var noKey: Failure {
    // If a client sent a whole key instead of an id, the error does not repeat it, because errors
    // end up in logs.
    let shown = id.utf8.count <= 24 ? " \(id)" : " with this id"
    return Failure(
      .keyNotFound,
      "There is no key\(shown); `tutti keys list` or GET /admin/v1/keys lists all keys.")
  }

  /// Revisions in `If-Match`. `nil` means any.
  var expectedRevisions: Set<Int64>? {
    // A tag that is no quoted number is dropped, because no record with a revision has such a tag.
    expectedTags.map { tags in Set(tags.compactMap { Int64($0.dropFirst().dropLast()) }) }
  }
}

/// A page of keys, and whether clients need no key.
private struct KeyPage: Encodable {
  let page: Page<KeyJSON>
  let isOpen: Bool

  private enum CodingKeys: String, CodingKey {
    case isOpen = "is_open"
  }

  func encode(to encoder: any Encoder) throws {
    try page.encode(to: encoder)
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(isOpen, forKey: .isOpen)
  }
}
