import ClusterModel
import Foundation
import HTTPTypes
import Money
import Testing

@testable import RegistryService

@Suite("The list of prices in the admin API")
struct PriceListTests {
  private struct Page: Decodable {
    struct Price: Decodable, Hashable {
      let model: String
      let host: String?
    }

    let data: [Price]
    let hasMore: Bool
    let next: String?

    enum CodingKeys: String, CodingKey {
      case data, next
      case hasMore = "has_more"
    }
  }

  private func page(_ registry: TestRegistry, _ query: String) async throws -> Page {
    let list = try await registry.send(.get, "/prices?" + query)
    #expect(list.status == 200, "\(query): \(list)")
    return try JSONDecoder().decode(Page.self, from: Data(list.text.utf8))
  }

  private static func add(
    _ registry: TestRegistry, _ model: String, host: String? = nil, from time: Int64
  ) async throws {
    let host = host.map { #""host": "\#($0)", "# } ?? ""
    let made = try await registry.send(
      .post, "/prices",
      #"{"model": "\#(model)", \#(host)"input": "1", "output": "2", "effective_from_ms": \#(time)}"#
    )
    #expect(made.status == 201, "\(made)")
  }

  @Test("its pages continue after a cursor, also if a price is added meanwhile")
  func pages() async throws {
    try await TestRegistry.run { registry in
      for model in ["b", "org/\u{fc}?&+="] {
        for host in [nil, "gpu-1"] {
          try await Self.add(registry, model, host: host, from: 1_800_000_000_000)
        }
      }
      let whole = try await page(registry, "limit=100")
      #expect(whole.data.count == 4 && !whole.hasMore && whole.next == nil)
      var prices: [Page.Price] = []
      var cursor = ""
      while true {
        let next = try await page(registry, "limit=1" + cursor)
        prices += next.data
        #expect(next.hasMore == (next.next != nil))
        guard let place = next.next else { break }
        // A row that is sorted before all others moves no place.
        try await Self.add(registry, "a", from: 1_800_000_000_000 + Int64(prices.count))
        cursor = "&after=\(place)"
      }
      #expect(prices == whole.data)
      let others = try await page(registry, "model=b&limit=1")
      #expect(others.data.map(\.model) == ["b"] && others.hasMore)
      let rest = try await page(registry, "model=b&after=\(try #require(others.next))")
      #expect(rest.data.map(\.host) == ["gpu-1"] && !rest.hasMore)
    }
  }

  @Test("a price that is not in force can be withdrawn, with the ETag of its addition")
  func withdrawal() async throws {
    try await TestRegistry.run { registry in
      let start = 1_800_000_000_000
      let made = try await registry.send(
        .post, "/prices",
        #"{"model": "m/1", "host": "gpu-1", "input": "1", "output": "2", "#
          + #""effective_from_ms": \#(start)}"#)
      let tag = try #require(made.tag)
      let path = "/prices?model=m%2F1&effective_from_ms=\(start)"
      // Without the host, it is another price.
      #expect(try await registry.send(.delete, path).status == 404)
      let ofHost = path + "&host=gpu-1"
      #expect(try await registry.send(.delete, ofHost, ifMatch: "\"2/2/2\"").status == 412)
      #expect(try await page(registry, "limit=9").data.count == 1)
      let withdrawn = try await registry.send(.delete, ofHost, ifMatch: tag)
      #expect(withdrawn.status == 200 && withdrawn.text.contains(#""withdrawn":true"#))
      #expect(try await page(registry, "limit=9").data.isEmpty)
      #expect(try await registry.send(.delete, ofHost).status == 404)
      let audit = try await registry.send(.get, "/audit?kind=price")
      #expect(audit.text.contains("withdrawn"), "\(audit)")
      for missing in ["/prices?model=m", "/prices?effective_from_ms=\(start)"] {
        #expect(try await registry.send(.delete, missing).status == 400, "\(missing)")
      }
    }
  }

  @Test("a price that is in force, or soon will be, cannot be withdrawn")
  func inForce() async throws {
    try await TestRegistry.run { registry in
      let made = try await registry.send(
        .post, "/prices", #"{"model": "m", "input": "1", "output": "2"}"#)
      #expect(made.status == 201)
      // The registry's clock stands still in tests, and a price starts a second after its addition.
      let path = "/prices?model=m&effective_from_ms=1790000001000"
      let refused = try await registry.send(.delete, path)
      #expect(refused.status == 400 && refused.text.contains("can be withdrawn"), "\(refused)")
      #expect(try await page(registry, "limit=9").data.count == 1)
    }
  }

  @Test("a text that is no cursor is refused by the parameter's name")
  func refused() async throws {
    let texts = ["", "x", "####", "YQ", "YQpi", String(repeating: "A", count: 2_000)]
    for text in texts { #expect(PricePlace(cursor: text) == nil, "\(text.utf8.count) bytes") }
    try await TestRegistry.run { registry in
      let refused = try await registry.send(.get, "/prices?after=YQpi")
      #expect(refused.status == 400 && refused.text.contains(#""param":"after""#), "\(refused)")
    }
  }

  @Test("a cursor keeps any name and time")
  func cursors() {
    for model in ["m", "org/m:8b", "\u{fc}\u{1F3BC}", String(repeating: "m", count: 256)] {
      for host: HostID? in [nil, "gpu-1", HostID(String(repeating: "h", count: 256))] {
        for time in [Int64.min, 0, .max] {
          let place = PricePlace(model: ModelID(model), host: host, effectiveFrom: time)
          #expect(PricePlace(cursor: place.cursor) == place, "\(model.utf8.count) \(time)")
        }
      }
    }
  }
}
