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
}
