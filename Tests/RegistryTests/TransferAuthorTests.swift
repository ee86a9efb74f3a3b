import HTTPTypes
import Testing

@testable import RegistryService

@Suite("Authors of transfers")
struct TransferAuthorTests {
  @Test("lists and exports of the ledger name the admin who moved credits")
  func author() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
      let made = try await registry.send(
        .post, "/transfers",
        #"{"id": "1", "kind": "credit", "organisation": "acme", "amount": "5", "note": "i \"1\""}"#)
      #expect(made.status == 201, "\(made)")
      for path in ["/ledger", "/ledger/export"] {
        let list = try await registry.send(.get, path).text
        #expect(list.contains(#""author":"admin-token""#), "\(list)")
        #expect(list.contains(#""note":"i \"1\"""#), "\(list)")
      }
      let lines = try await registry.send(.get, "/ledger/export?format=csv").text
        .split(separator: "\r\n")
      #expect(lines.first == "position,id,kind,time_ms,account,amount,note,author")
      #expect(lines.count == 3)
      for line in lines.dropFirst() {
        #expect(line.hasSuffix(#","i ""1""","admin-token""#), "\(line)")
      }
    }
  }
}
