import ClusterModel
import Foundation
import Money
import Testing

@Suite("Bill and payouts")
struct BillTests {
  /// A price of 1 micro-credit per prompt token and 3 per completion token.
  private static func price() throws -> TokenPrice {
    try TokenPrice(
      input: MicroCredits(1_000_000), cachedInput: MicroCredits(500_000),
      output: MicroCredits(3_000_000))
  }

  /// A rule that pays 5 micro-credits to take part and 2 per token, at most a tenth of the winner's
  /// pay.
  private static func rule() throws -> PayoutRule {
    try PayoutRule(
      reservationFee: MicroCredits(5), progressFee: MicroCredits(2_000_000), perMilleOfWinner: 100)
  }

  private static func attempt(
    _ host: HostID, _ role: BilledAttempt.Role, prompt: Int64 = 1_000, made: Int64,
    contributed: Int64
  ) throws -> BilledAttempt {
    try BilledAttempt(
      host: host, price: price(), usage: TokenUsage(prompt: prompt, completion: made),
      contributed: contributed, role: role)
  }

  private static func pay(_ attempts: BilledAttempt...) throws -> [Int64] {
    try rule().pay(for: attempts).map(\.count)
  }

  @Test("the winner is paid for the prompt and the tokens it contributed")
  func winner() throws {
    #expect(try Self.pay(Self.attempt("a", .winner, made: 120, contributed: 100)) == [1_300])
  }

  @Test("a loser earns its fees, capped at a share of the winner's pay")
  func losers() throws {
    let winner = try Self.attempt("a", .winner, made: 100, contributed: 100)
    #expect(
      try Self.pay(
        winner, Self.attempt("b", .loser, made: 0, contributed: 0),
        Self.attempt("c", .loser, made: 20, contributed: 0),
        Self.attempt("d", .loser, made: 900, contributed: 0)) == [1_300, 5, 45, 130])
  }

  @Test("a host that sends one token and stalls earns the progress fee of one token")
  func stall() throws {
    // The prompt has a million tokens, for which a winner would earn a credit.
    let stalled = try Self.attempt("a", .failed, prompt: 1_000_000, made: 1, contributed: 1)
    let rescuer = try Self.attempt("b", .continued, made: 300, contributed: 300)
    #expect(try Self.pay(stalled, rescuer) == [2, 900])
    let briefRescuer = try Self.attempt("b", .continued, made: 3, contributed: 3)
    #expect(try Self.pay(stalled, briefRescuer) == [0, 9])
    #expect(try Self.pay(stalled) == [0])
  }

  @Test("a host that continued an answer, or a fallback host, is paid for the tokens it added")
  func continued() throws {
    #expect(
      try Self.pay(
        Self.attempt("a", .winner, made: 50, contributed: 40),
        Self.attempt("b", .continued, made: 30, contributed: 20),
        Self.attempt("c", .fallback, made: 10, contributed: 10)) == [1_120, 60, 30])
  }

  @Test("the client pays for its own tokens, whatever attempts led to them")
  func losersAreNotBilled() throws {
    let usage = try TokenUsage(prompt: 10, completion: 10)
    let winner = try Self.attempt("a", .winner, prompt: 10, made: 10, contributed: 10)
    let loser = try Self.attempt("b", .loser, prompt: 10, made: 10, contributed: 0)
    let alone = try Bill(
      answers: [BilledAnswer(usage: usage, price: Self.price(), attempts: [winner])],
      rule: Self.rule())
    let raced = try Bill(
      answers: [BilledAnswer(usage: usage, price: Self.price(), attempts: [winner, loser])],
      rule: Self.rule())
    #expect(alone.charge == MicroCredits(40) && raced.charge == alone.charge)
    #expect(raced.payouts == ["a": MicroCredits(40), "b": MicroCredits(4)])
    #expect(raced.margin == MicroCredits(-4))
  }

  @Test("each inference of a plan has its own winner, whose pay caps its own losers")
  func inferences() throws {
    let price = try Self.price()
    let answers = try [(100, "a"), (10, "c")].map { made, winner in
      try BilledAnswer(
        usage: TokenUsage(prompt: 1_000, completion: Int64(made)), price: price,
        attempts: [
          Self.attempt(HostID(winner), .winner, made: Int64(made), contributed: Int64(made)),
          Self.attempt("b", .loser, made: 900, contributed: 0),
        ])
    }
    let bill = try Bill(answers: answers, rule: Self.rule())
    #expect(bill.lines.map { $0.pay.map(\.count) } == [[1_300, 130], [1_030, 103]])
    #expect(bill.payouts["b"] == MicroCredits(233))
    #expect(bill.charge == MicroCredits(2_330) && bill.margin == MicroCredits(-233))
  }

  @Test("only the winner of an answer has its cached prompt tokens")
  func cached() throws {
    let answer = try TokenUsage(prompt: 10, cached: 6, completion: 20)
    for role in BilledAttempt.Role.allCases {
      let usage = role.usage(in: answer, made: 25)
      let expected = try TokenUsage(
        prompt: 10, cached: role == .winner ? 6 : 0, completion: 25)
      #expect(usage == expected, "\(role)")
      #expect(role.usage(in: answer, made: -1).completion == 0)
    }
  }

  @Test("a settlement moves the charge from the holds, and skips zeros")
  func settlement() throws {
    let answer = try BilledAnswer(
      usage: TokenUsage(prompt: 10, completion: 20), price: Self.price(),
      attempts: [Self.attempt("a", .winner, prompt: 10, made: 10, contributed: 10)])
    let bill = try Bill(answers: [answer], rule: Self.rule())
    let transaction = try bill.settlement(id: "r1", time: 5, payer: .holds(of: "acme"))
    #expect(transaction.kind == .settle)
    #expect(
      transaction.entries == [
        LedgerEntry(account: .holds(of: "acme"), amount: MicroCredits(-70)),
        LedgerEntry(account: .host("a"), amount: MicroCredits(40)),
        LedgerEntry(account: .margin, amount: MicroCredits(30)),
      ])
    // After the end of the lease, the operator pays what the hosts earn.
    let late = try bill.settlement(id: "r2", time: 5, payer: .margin)
    #expect(
      late.entries == [
        LedgerEntry(account: .margin, amount: MicroCredits(-40)),
        LedgerEntry(account: .host("a"), amount: MicroCredits(40)),
      ])
    // The hold pays for a part, and the margin for the rest.
    let part = try bill.settlement(
      id: "r5", time: 5, payer: .holds(of: "acme"), charged: MicroCredits(25))
    #expect(
      part.entries == [
        LedgerEntry(account: .holds(of: "acme"), amount: MicroCredits(-25)),
        LedgerEntry(account: .host("a"), amount: MicroCredits(40)),
        LedgerEntry(account: .margin, amount: MicroCredits(-15)),
      ])
    #expect(throws: MoneyError.negative) {
      try bill.settlement(id: "r3", time: 5, payer: .margin, charged: MicroCredits(-1))
    }
    #expect(
      try Bill(answers: [], rule: Self.rule()).settlement(
        id: "r4", time: 5, payer: .margin
      ).entries == [])
  }

  @Test("outcomes and rules out of range are errors")
  func ranges() throws {
    let winner = try Self.attempt("a", .winner, made: 1, contributed: 1)
    #expect(throws: MoneyError.invalidOutcome) {
      try BilledAnswer(usage: .zero, price: .free, attempts: [winner, winner])
    }
    #expect(throws: MoneyError.invalidTokens) {
      try Self.attempt("a", .winner, made: 1, contributed: 2)
    }
    for share in [99, 201] {
      #expect(throws: MoneyError.invalidShare) {
        try PayoutRule(reservationFee: .zero, progressFee: .zero, perMilleOfWinner: share)
      }
    }
    let text = #"{"reservationFee":-1,"progressFee":0,"perMilleOfWinner":100}"#
    #expect(throws: MoneyError.invalidPrice) {
      try JSONDecoder().decode(PayoutRule.self, from: Data(text.utf8))
    }
  }

  @Test("the highest fees and counts are capped, not trapped")
  func extremes() throws {
    let rule = try PayoutRule(
      reservationFee: TokenPrice.highest, progressFee: TokenPrice.highest, perMilleOfWinner: 200)
    let winner = try Self.attempt("a", .winner, made: 1, contributed: 1)
    let loser = try Self.attempt("b", .loser, made: .max, contributed: 0)
    #expect(try rule.pay(for: [winner, loser]).map(\.count) == [1_003, 200])
  }
}
