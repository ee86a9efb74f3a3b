import ClusterModel
import ClusterTesting
import Foundation
import NIOHTTP1
import Testing

private enum BudgetHosts {
  /// Answers every request with ten words, one token each, and reports five cached prompt tokens.
  @Sendable static func one() async throws -> [FaultyHost] {
    [
      try await .started(
        FaultyHostConfiguration(
          models: [FaultyHosts.model],
          answer: .text("one two three four five six seven eight nine ten"), cachedTokens: 5,
          dialect: .openai))
    ]
  }
}

extension ProcessTests {
  @Suite(
    "Budgets of a cluster", .serialized,
    .cluster { try await RunningCluster.start(.faulty(BudgetHosts.one())) })
  struct BudgetTests {
    private struct Verification: Decodable { let correct: Bool }

    private struct Balance: Decodable {
      let account: String
      let balance: String
    }

    private struct Organisation: Decodable {
      struct Budget: Decodable { let spent: String }

      let budgets: [Budget]
      let held: String
    }

    private struct Usage: Decodable {
      struct Total: Decodable {
        let cost: String
        let cachedTokens: Int

        enum CodingKeys: String, CodingKey {
          case cost
          case cachedTokens = "cached_tokens"
        }
      }

      struct Budget: Decodable {
        let owner: String
        let remaining: String
      }

      let complete: Bool
      let budgets: [Budget]
      let total: Total
    }

    private let cluster: RunningCluster

    init() throws { cluster = try RunningCluster.current() }

    /// Sets the model's price at 2 credits per million completion tokens. The host earns 1 of them.
    private func setPrices() async throws {
      let hosts = try await cluster.admin(.GET, "/hosts").json(ReplyList<ReplyID>.self).data
      let host = try #require(hosts.first).id
      // The host's price is set first, so that it is in force when the client's price is.
      for (price, owner) in [("1", #","host":"\#(host)""#), ("2", "")] {
        let reply = try await cluster.admin(
          .POST, "/prices",
          #"{"model":"\#(FaultyHosts.model)","input":"0","cached_input":"0","#
            + #""output":"\#(price)"\#(owner)}"#)
        #expect(reply.status == 201, "\(reply.text)")
      }
    }

    @Test("of 200 requests at once, exactly those that the budget pays are answered")
    func exact() async throws {
      let usage = cluster.gateway + "/v1/usage"
      let open = try await cluster.send(.GET, usage, nil)
      #expect(open.status == 401 && open.text.contains("no keys"), "\(open.text)")
      let (_, secret) = try await cluster.createKey(#"{"name":"ci","account":"acme"}"#)
      // The budget pays for twenty answers of ten tokens, at 2 micro-credits per token.
      let made = try await cluster.admin(
        .POST, "/organisations",
        #"{"id":"acme","name":"Acme","prepaid":false,"budgets":[{"amount":"0.0004","period":"day"}]}"#
      )
      #expect(made.status == 201, "\(made.text)")
      try await setPrices()
      _ = try await eventually("the price is in force") { () -> Bool? in
        let reply = try await cluster.chat(secret, more: #","max_tokens":10"#)
        return reply.headers.first(name: "x-tutti-cost") == "0.00002" ? true : nil
      }
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for number in 0..<200 {
          let more = #","max_tokens":10,"stream":\#(number.isMultiple(of: 2))"#
          group.addTask { try await cluster.chat(secret, more: more).status }
        }
        return try await group.reduce(into: [Int]()) { $0.append($1) }
      }
      #expect(Set(statuses).isSubset(of: [200, 402]))
      // The budget also paid for the answer above that showed the price.
      #expect(statuses.count { $0 == 200 } == 19)
      let acme = try await eventually("all answers are settled") { () -> Organisation? in
        let acme = try await cluster.admin(.GET, "/organisations/acme").json(Organisation.self)
        return acme.held == "0" ? acme : nil
      }
      #expect(acme.budgets.map(\.spent) == ["0.0004"])
      #expect(try await cluster.chat(secret, more: #","max_tokens":10"#).status == 402)
      #expect(try await cluster.admin(.GET, "/ledger/verify").json(Verification.self).correct)
      let balances = try await cluster.admin(.GET, "/ledger/balances")
        .json(ReplyList<Balance>.self).data
        .filter { $0.account.hasPrefix("host/") || $0.account == "margin" }
      #expect(balances.map(\.balance) == ["0.0002", "0.0002"], "\(balances)")
      let own = try await cluster.send(.GET, usage, secret).json(Usage.self)
      #expect(own.complete && own.total.cost == "0.0004")
      // The usage also includes answers that were free before the price was in force.
      #expect(own.total.cachedTokens >= 20 * 5)
      #expect(own.budgets.map(\.owner) == ["organisation"])
      #expect(own.budgets.map(\.remaining) == ["0"])
      #expect(try await cluster.send(.GET, usage + "?days=32", secret).status == 400)
      #expect(try await cluster.send(.GET, usage, nil).status == 401)
    }
  }
}
