import Access
import ClusterModel
import CommandLineCore
import Foundation
import GatewayCore
import Money
import Testing
import Text

@Suite("Usage of a key")
struct UsageAnswerTests {
  private static let today: Int64 = 20_785

  private func key(_ scopes: Set<AccessScope> = [.chat]) throws -> KeyRecord {
    KeyRecord(
      id: try #require(KeyID("abcdefghij23")), name: "laptop\n",
      account: try #require(AccountPath("acme/lab")),
      hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: scopes,
      limits: KeyLimits(requestsPerMinute: 10))
  }

  private func remainders(_ key: KeyRecord) -> [RateRemainder] {
    var windows = RateWindows(gateways: 2)
    _ = windows.admit(key.id, limits: key.limits, tokens: 1, at: .zero)
    return windows.remainders(for: key.id, limits: key.limits, at: .zero)
  }

  private func row(
    _ day: Int64, _ model: String, _ cost: Int64
  ) throws -> DailyUsage.Row {
    DailyUsage.Row(
      day: day, model: model, requests: 1,
      usage: try TokenUsage(prompt: 4, cached: 1, completion: 2), cost: MicroCredits(cost))
  }

  private func report() throws -> SpendingReport {
    SpendingReport(
      key: .key("abcdefghij23"),
      budgets: [
        SpendingReport.Budget(
          owner: .team, id: "acme/lab", window: BudgetWindow(.calendar, .month),
          amount: MicroCredits(2_000_000), spent: MicroCredits(2_500_000),
          resetsAt: 1_798_761_600_000)
      ],
      balance: SpendingReport.Balance(
        organisation: "acme", available: MicroCredits(7_000_000), held: MicroCredits(500_000)),
      rows: [try row(Self.today, "large", 30), try row(Self.today - 9, "large", 1)],
      firstDay: Self.today - 30)
  }

  private func text(
    _ report: SpendingReport?, days: Int = 7, scopes: Set<AccessScope> = [.chat]
  ) throws -> String {
    let key = try key(scopes)
    return String(
      decoding: UsageAnswer.json(
        key, remainders(key), report,
        UsageAnswer.FreeUse(
          rows: [try row(Self.today, "large", 0), try row(Self.today, "small", 0)], since: 5),
        days: (Self.today - Int64(days - 1))...Self.today
      ).encoded, as: UTF8.self)
  }

  @Test("the answer has limits, budgets, balance, and rows of the ledger and of this gateway")
  func whole() throws {
    let text = try text(report())
    for part in [
      #""object":"usage","key":"abcdefghij23","name":"laptop\n","account":"acme/lab""#,
      #""complete":true"#,
      #""limits":{"requests_per_minute":{"limit":10,"share":5,"remaining":4,"seconds_to_reset":"#,
      #""owner":"team","id":"acme/lab","period":"month","window":"calendar","amount":"2""#,
      #""spent":"2.5","remaining":"0","resets_at_ms":1798761600000"#,
      #""balance":{"organisation":"acme","available":"7","held":"0.5"}"#,
      #""since":"2026-11-22","free_since_ms":5"#,
      #""total":{"requests":3,"prompt_tokens":12,"cached_tokens":3,"completion_tokens":6,"#
        + #""cost":"0.00003"}"#,
      #""data":[{"day":"2026-11-28","model":"large","requests":2,"prompt_tokens":8,"#
        + #""cached_tokens":2,"completion_tokens":4,"cost":"0.00003"},{"day":"2026-11-28","#
        + #""model":"small","requests":1,"#,
    ] {
      #expect(text.contains(part), "\(part) in \(text)")
    }
    // The row of nine days ago is counted in ten days, but not in the seven days above.
    #expect(try self.text(report(), days: 10).contains(#""total":{"requests":4,"#))
  }

  @Test("a key that cannot spend sees neither the balance nor what other keys spend")
  func metricsKey() throws {
    for scopes: Set<AccessScope> in [[.metrics], [.logs, .adminRead]] {
      let text = try text(report(), scopes: scopes)
      #expect(text.contains(#""budgets":[],"balance":null"#), "\(text)")
      // Its own spending stays, for example that of a time when it could spend.
      #expect(text.contains(#""data":[{"day":"2026-11-28","model":"large""#), "\(text)")
    }
    for scopes: Set<AccessScope> in [[.embeddings], [.metrics, .plans]] {
      #expect(try text(report(), scopes: scopes).contains(#""organisation":"acme""#))
    }
  }

  @Test("without the registry the answer says so and has the gateway's own numbers")
  func incomplete() throws {
    let text = try text(nil)
    #expect(text.contains(#""complete":false"#))
    #expect(!text.contains("budgets") && !text.contains("balance"))
    #expect(text.contains(#""requests_per_minute""#))
    #expect(text.contains(#""total":{"requests":2,"#))
  }

  @Test("the number of days is checked")
  func days() throws {
    #expect(try UsageAnswer.days([]) == 30)
    #expect(try UsageAnswer.days([("days", "31")]) == 31)
    #expect(try UsageAnswer.days([("days", "1")]) == 1)
    for value in ["0", "32", "-1", "", "1.5", "99999999999999999999"] {
      let failure = #expect(throws: Failure.self) { try UsageAnswer.days([("days", value)]) }
      #expect(failure?.code == .invalidRequest && failure?.param == "days")
    }
    let failure = #expect(throws: Failure.self) { try UsageAnswer.days([("key", "a")]) }
    #expect(failure?.param == "key")
    #expect(UsageAnswer.range(31, at: 0) == -30...0)
    #expect(UsageAnswer.range(1, at: 86_400_000) == 1...1)
  }

  @Test("the tables of `tutti usage` show the answer, with control characters made visible")
  func tables() throws {
    let usage = try JSONDecoder().decode(UsageView.self, from: Data(text(report()).utf8))
    #expect(usage.isComplete)
    let lines = usage.lines
    #expect(lines.first?.hasPrefix("key tutti-abcdefghij23 (laptop") == true)
    #expect(lines.first?.hasSuffix(") of acme/lab") == true)
    #expect(lines.allSatisfy { !$0.contains("\n") })
    #expect(lines.contains { $0.hasPrefix("requests per minute     10          4") }, "\(lines)")
    #expect(lines.contains { $0.hasPrefix("team acme/lab") && $0.hasSuffix("2027-01-01") })
    #expect(lines.contains("balance of acme: 7 credits, and 0.5 held for requests"))
    #expect(lines.last?.hasPrefix("since 2026-11-22") == true)
    let total = try #require(lines.last).split(separator: " ").map(String.init)
    #expect(total.suffix(5).prefix(4) == ["3", "12", "3", "6"], "\(lines)")
    let cut = try JSONDecoder().decode(UsageView.self, from: Data(text(nil).utf8))
    #expect(!cut.isComplete && !cut.lines.isEmpty)
  }
}
