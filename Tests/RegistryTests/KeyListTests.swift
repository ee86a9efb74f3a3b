import Foundation
import HTTPTypes
import Testing

@testable import RegistryService

@Suite("The list of keys in the admin API")
struct KeyListTests {
  private struct Keys: Decodable {
    struct Key: Decodable { let name: String }

    let data: [Key]
  }

  private func names(_ registry: TestRegistry, _ query: String) async throws -> Set<String> {
    let list = try await registry.send(.get, "/keys" + query)
    #expect(list.status == 200, "\(query): \(list)")
    return Set(try JSONDecoder().decode(Keys.self, from: Data(list.text.utf8)).data.map(\.name))
  }

  @Test("it can be limited to an account and to a state, and unknown values are refused by name")
  func filters() async throws {
    try await TestRegistry.run { registry in
      for (name, account) in [("a", "acme"), ("b", "acme/web"), ("c", "beta")] {
        let made = try await registry.send(
          .post, "/keys", #"{"name": "\#(name)", "account": "\#(account)"}"#)
        #expect(made.status == 201, "\(made)")
      }
      let all = try await registry.send(.get, "/keys?account=beta").text
      let id = try #require(all.firstMatch(of: /"id":"([a-z2-7]+)"/)).1
      _ = try await registry.send(.delete, "/keys/\(id)")
      #expect(try await names(registry, "") == ["a", "b", "c"])
      #expect(try await names(registry, "?account=acme") == ["a", "b"])
      #expect(try await names(registry, "?account=acme%2Fweb") == ["b"])
      #expect(try await names(registry, "?state=revoked") == ["c"])
      #expect(try await names(registry, "?account=beta&state=active").isEmpty)
      for (query, param) in [("account=A", "account"), ("state=gone", "state")] {
        let refused = try await registry.send(.get, "/keys?\(query)")
        #expect(refused.status == 400 && refused.text.contains(#""param":"\#(param)""#))
      }
    }
  }
}
