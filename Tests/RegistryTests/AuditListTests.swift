import Foundation
import HTTPTypes
import Testing

@testable import RegistryService

@Suite("The audit log in the admin API")
struct AuditListTests {
  private struct Page: Decodable {
    struct Change: Decodable {
      let kind: String
      let id: String
      let action: String
    }

    let data: [Change]
    let hasMore: Bool
    let next: Int64?

    var changes: [String] { data.map { "\($0.action) \($0.kind) \($0.id)" } }

    enum CodingKeys: String, CodingKey {
      case data, next
      case hasMore = "has_more"
    }
  }

  private func page(_ registry: TestRegistry, _ query: String) async throws -> Page {
    let list = try await registry.send(.get, "/audit?" + query)
    #expect(list.status == 200, "\(query): \(list)")
    return try JSONDecoder().decode(Page.self, from: Data(list.text.utf8))
  }

  @Test("it is filtered by author, action and time, and continues at `next`")
  func filters() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
      _ = try await registry.send(.patch, "/organisations/acme", #"{"name": "A"}"#)
      _ = try await registry.send(.post, "/teams", #"{"id": "acme/web"}"#)
      let host = #"{"url": "http://127.0.0.1:9", "id": "h"}"#
      _ = try await registry.send(.post, "/hosts", host)
      _ = try await registry.send(.delete, "/hosts/h")
      #expect(
        try await page(registry, "author=admin-token").changes == [
          "remove host h", "create host h", "create team acme/web", "change organisation acme",
          "create organisation acme",
        ])
      #expect(try await page(registry, "author=other").changes.isEmpty)
      #expect(try await page(registry, "action=remove").changes == ["remove host h"])
      #expect(
        try await page(registry, "action=create&kind=organisation").changes
          == ["create organisation acme"])
      // Changes of accounts have the clock of the test, and those of hosts the clock of the machine.
      let wall = "from_ms=1790000000000&to_ms=1790000000001"
      #expect(try await page(registry, wall).data.count == 3)
      #expect(try await page(registry, "to_ms=1790000000000&kind=team").changes.isEmpty)
      let first = try await page(registry, wall + "&limit=2")
      #expect(first.data.count == 2 && first.hasMore)
      let rest = try await page(registry, wall + "&before=\(try #require(first.next))")
      #expect(rest.changes == ["create organisation acme"] && !rest.hasMore && rest.next == nil)
    }
  }

  @Test("an unknown action and a range without times are refused by name")
  func refused() async throws {
    try await TestRegistry.run { registry in
      for (query, param) in [
        ("action=delete", "action"), ("from_ms=2&to_ms=1", "from_ms"), ("from_ms=x", "from_ms"),
        ("to_ms=-1", "to_ms"), ("before=0", "before"),
      ] {
        let refused = try await registry.send(.get, "/audit?" + query)
        #expect(refused.status == 400, "\(query): \(refused)")
        #expect(refused.text.contains(#""param":"\#(param)""#), "\(query): \(refused)")
      }
    }
  }
}
