import HTTPTypes
import Store
import Testing

@testable import RegistryService

@Suite("ETags of accounts and money")
struct AccountTagTests {
  private static let budgets = "/key-budgets/abcdefgh2345"
  private static let day = #"{"budgets": [{"amount": "1", "period": "day"}]}"#
  private static let hour = #"{"budgets": [{"amount": "2", "period": "hour"}]}"#

  @Test("two admins who read a key without budgets cannot both set some")
  func keyBudgets() async throws {
    try await TestRegistry.run { registry in
      let read = try #require(try await registry.send(.get, Self.budgets).tag)
      let first = try await registry.send(.put, Self.budgets, Self.day, ifMatch: read)
      #expect(first.status == 200 && first.tag != read)
      let second = try await registry.send(.put, Self.budgets, Self.hour, ifMatch: read)
      #expect(second.status == 412 && second.text.contains(#""code":"conflict""#))
      let present = try await registry.send(.get, Self.budgets)
      #expect(present.tag == first.tag && present.text.contains(#""period":"day""#))
      let third = try await registry.send(
        .put, Self.budgets, Self.hour, ifMatch: "\"other\", \(present.tag ?? "")")
      #expect(third.status == 200)
      #expect(try await registry.send(.put, Self.budgets, Self.day).status == 200)
    }
  }

  @Test("two admins who read one tariff cannot both change it")
  func tariff() async throws {
    let rule = #"{"reservation_fee": "0", "progress_fee_per_million": "0.1", "#
    try await TestRegistry.run { registry in
      let read = try #require(try await registry.send(.get, "/tariff").tag)
      let first = try await registry.send(
        .patch, "/tariff", #"{"unknown_price": "refuse"}"#, ifMatch: read)
      #expect(first.status == 200 && first.tag != read)
      for body in [
        #"{"unknown_price": "free"}"#, #"{"payout_rule": \#(rule)"per_mille_of_winner": 120}}"#,
      ] {
        let refused = try await registry.send(.patch, "/tariff", body, ifMatch: read)
        #expect(refused.status == 412, "\(body)")
      }
      let present = try await registry.send(.get, "/tariff")
      #expect(present.tag == first.tag && present.text.contains("refuse"))
      let both = #"{"unknown_price": "free", "payout_rule": \#(rule)"per_mille_of_winner": 120}}"#
      let last = try await registry.send(.patch, "/tariff", both, ifMatch: present.tag)
      #expect(last.status == 200 && last.text.contains("120") && last.tag != present.tag)
      #expect(try await registry.send(.get, "/tariff").tag == last.tag)
    }
  }

  @Test("a change of both members of the tariff is made whole or not at all")
  func wholeTariff() async throws {
    let rule = #"{"reservation_fee": "0", "progress_fee_per_million": "0.1", "#
    let both = #"{"unknown_price": "refuse", "payout_rule": \#(rule)"per_mille_of_winner": 120}}"#
    let scratch = try TestRegistry.Scratch()
    try await TestRegistry.run(in: scratch) { registry in
      let before = try await registry.send(.get, "/tariff")
      try await TestRegistry.edit(
        scratch.path + "/accounts.sqlite",
        """
        CREATE TRIGGER refused BEFORE INSERT ON settings WHEN NEW.name = 'money.payout_rule'
        BEGIN SELECT RAISE(ABORT, 'no'); END
        """)
      let refused = try await registry.send(.patch, "/tariff", both)
      #expect(refused.status == 500)
      let present = try await registry.send(.get, "/tariff")
      #expect(present.text == before.text && present.tag == before.tag)
      #expect(try await registry.accounts.settings().isEmpty)
      try await TestRegistry.edit(scratch.path + "/accounts.sqlite", "DROP TRIGGER refused")
      let changed = try await registry.send(.patch, "/tariff", both)
      #expect(changed.status == 200 && changed.text.contains("refuse"))
      #expect(changed.text.contains("120"))
      let records = try await registry.accounts.audit(AuditQuery(kind: "setting"))
      #expect(Set(records.map(\.id)) == ["money.payout_rule", "money.unknown_price"])
    }
  }

  @Test("a change of an organisation accepts a list of ETags")
  func organisation() async throws {
    try await TestRegistry.run { registry in
      let made = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
      let tag = try #require(made.tag)
      let changed = try await registry.send(
        .patch, "/organisations/acme", #"{"name": "A"}"#, ifMatch: "\"0\", \(tag)")
      #expect(changed.status == 200)
      let refused = try await registry.send(
        .patch, "/organisations/acme", #"{"name": "B"}"#, ifMatch: tag)
      #expect(refused.status == 412)
      #expect(try await registry.send(.get, "/organisations/acme").text.contains(#""name":"A""#))
    }
  }

  @Test("a change that changes nothing keeps the ETag and is not in the audit log")
  func unchanged() async throws {
    let price = #"""
      {"model": "m", "input": "1", "output": "2", "effective_from_ms": 1800000000000}
      """#
    let rule = #"{"reservation_fee": "0", "progress_fee_per_million": "0.1", "#
    let team = #"{"id": "acme/lab", "name": "Lab", "budgets": [{"amount": "1", "period": "day"}]}"#
    let steps: [(HTTPRequest.Method, String, String)] = [
      (.patch, "/organisations/acme", #"{"prepaid": true, "name": "A"}"#),
      (.patch, "/organisations/acme/teams/lab", team),
      (.put, Self.budgets, Self.day),
      (.patch, "/tariff", #"{"unknown_price": "refuse"}"#),
      (.patch, "/tariff", #"{"payout_rule": \#(rule)"per_mille_of_winner": 120}}"#),
      (.post, "/prices", price),
    ]
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
      _ = try await registry.send(.post, "/teams", #"{"id": "acme/lab"}"#)
      for (method, path, body) in steps {
        let first = try await registry.send(method, path, body)
        #expect([200, 201].contains(first.status), "\(path): \(first)")
        let count = try await registry.accounts.audit(AuditQuery()).count
        let again = try await registry.send(method, path, body)
        #expect(again.status == first.status && again.tag == first.tag, "\(path): \(again)")
        #expect(again.text == first.text, "\(path)")
        #expect(try await registry.accounts.audit(AuditQuery()).count == count, "\(path)")
        guard method != .post else { continue }
        let stale = try await registry.send(method, path, body, ifMatch: "\"999\"")
        #expect(stale.status == 412, "\(path)")
      }
      #expect(try await registry.accounts.prices().count == 1)
    }
  }

  @Test("budgets of a key that never had any, and the default tariff, are not stored")
  func unstored() async throws {
    try await TestRegistry.run { registry in
      let none = try await registry.send(.get, Self.budgets)
      let same = try await registry.send(.put, Self.budgets, #"{"budgets": []}"#)
      #expect(same.status == 200 && same.tag == none.tag)
      let tariff = try await registry.send(.patch, "/tariff", #"{"unknown_price": "free"}"#)
      #expect(tariff.status == 200)
      #expect(try await registry.accounts.settings().isEmpty)
    }
  }

  @Test("only the changed member of the tariff is stored")
  func halfTariff() async throws {
    let rule = #"{"reservation_fee": "0", "progress_fee_per_million": "0.1", "#
    let both = #"{"unknown_price": "free", "payout_rule": \#(rule)"per_mille_of_winner": 120}}"#
    try await TestRegistry.run { registry in
      #expect(try await registry.send(.patch, "/tariff", both).status == 200)
      let records = try await registry.accounts.audit(AuditQuery())
      #expect(records.map(\.id) == ["money.payout_rule"])
    }
  }
}
