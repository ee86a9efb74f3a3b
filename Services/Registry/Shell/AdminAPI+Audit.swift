import ClusterModel
import HTTPTypes
import Hummingbird
import Store
import Text

/// Route of `/admin/v1/audit`.
extension AdminAPI {
  func addAuditRoute(to router: Router<BasicRequestContext>) {
    route(router, .get, "/admin/v1/audit") { request in
      let query = try request.auditQuery
      let turn = try await gate.storeRead(by: request.author)
      defer { withExtendedLifetime(turn) {} }
      let page = try await keys.audit(query)
      let list: JSON = [
        "object": "list", "data": .array(page.records.map(\.json)),
        "has_more": .boolean(page.next != nil),
        "next": page.next.map { .integer(Int($0)) } ?? .null,
      ]
      return body(list.encoded, .ok)
    }
  }
}

extension AdminRequest {
  fileprivate var auditQuery: AuditQuery {
    get throws {
      let action = text("action").map { AuditAction(rawValue: $0) }
      if case .some(nil) = action {
        let known = AuditAction.allCases.map(\.rawValue).joined(separator: ", ")
        throw AdminFailure(invalid: "action must be one of \(known).", param: "action")
      }
      return AuditQuery(
        kind: text("kind"), id: text("id"), author: text("author"), action: action ?? nil,
        times: try http.timeRange, before: try number("before", in: 1...Int64.max, or: .max),
        limit: try number("limit", in: AdminAPI.pages, or: 100))
    }
  }
}

extension AuditRecord {
  fileprivate var json: JSON {
    func stored(_ text: String?) -> JSON { text.map { .raw(Array($0.utf8)) } ?? .null }
    return [
      "object": "audit", "position": .integer(Int(position)), "time_ms": .integer(Int(author.time)),
      "author": .string(author.name), "action": .string(action.rawValue), "kind": .string(kind),
      "id": .string(id), "before": stored(before), "after": stored(after),
    ]
  }
}
