import ClusterModel
import Money
import Testing

/// Properties of every outcome of races, hedges, failovers, plans and cancelled answers.
@Suite("Money is conserved")
struct ConservationTests {
  private static let seeds = UInt64(0)..<3_000

  @Test("the bill equals payouts plus margin, also in the settlement")
  func conservation() throws {
    for seed in Self.seeds {
      var source = OutcomeSource(seed: seed)
      let bill = try Bill(answers: source.answers(), rule: source.rule())
      let paid = bill.lines.flatMap(\.pay).reduce(0) { $0 + $1.count }
      #expect(bill.payouts.values.reduce(0) { $0 + $1.count } == paid, "seed \(seed)")
      #expect(bill.charge.count == paid + bill.margin.count, "seed \(seed)")
      #expect(bill.lines.flatMap(\.pay).allSatisfy { $0 >= .zero }, "seed \(seed)")

      let transaction = try bill.settlement(id: "r", time: 0, payer: .holds(of: "acme"))
      let book = try LedgerBook(replaying: [transaction])
      #expect(book.balance(of: .holds(of: "acme")).count == -bill.charge.count, "seed \(seed)")
      #expect(book.balance(of: .margin) == bill.margin, "seed \(seed)")
      for (host, amount) in bill.payouts {
        #expect(book.balance(of: .host(host)) == amount, "seed \(seed)")
      }
    }
  }

  @Test("losers and failed hosts earn at most their share of the winner's pay")
  func shares() throws {
    for seed in Self.seeds {
      var source = OutcomeSource(seed: seed)
      let rule = try source.rule()
      for answer in try source.answers() {
        let pay = try rule.pay(for: answer.attempts)
        let paid = Array(zip(answer.attempts, pay))
        let winner = paid.first { $0.0.role == .winner }?.1
        let delivered = paid.filter { [.continued, .fallback].contains($0.0.role) }.map(\.1).max()
        let cap = (winner ?? delivered ?? .zero).count * Int64(rule.perMilleOfWinner)
        for (attempt, amount) in paid where attempt.role == .loser || attempt.role == .failed {
          #expect(amount.count * 1_000 <= cap, "seed \(seed)")
          guard attempt.role == .failed else { continue }
          let progress = attempt.contributed * rule.progressFee.count
          #expect(amount.count * 1_000_000 <= progress, "seed \(seed)")
        }
      }
    }
  }

  @Test("tokens that were repeated or dropped change neither bill nor the pay of deliverers")
  func repeats() throws {
    for seed in Self.seeds {
      var source = OutcomeSource(seed: seed)
      let rule = try source.rule()
      let answers = try source.answers()
      let repeated = try answers.map { answer in
        try BilledAnswer(
          usage: answer.usage, price: answer.price, attempts: answer.attempts.map(Self.repeating))
      }
      let (before, after) = try (
        Bill(answers: answers, rule: rule), Bill(answers: repeated, rule: rule)
      )
      #expect(before == after, "seed \(seed)")
    }
  }

  @Test("the bill depends on the client's tokens alone")
  func attemptsAreFree() throws {
    for seed in Self.seeds {
      var source = OutcomeSource(seed: seed)
      let rule = try source.rule()
      let answers = try source.answers()
      let alone = try answers.map {
        try BilledAnswer(usage: $0.usage, price: $0.price, attempts: [])
      }
      let bill = try Bill(answers: answers, rule: rule)
      #expect(try Bill(answers: alone, rule: rule).charge == bill.charge, "seed \(seed)")
      #expect(
        bill.charge.count == bill.lines.reduce(0) { $0 + $1.charge.count }, "seed \(seed)")
    }
  }

  /// Returns the attempt with additional tokens that did not become part of the answer. A race
  /// loser's attempt stays the same.
  private static func repeating(_ attempt: BilledAttempt) throws -> BilledAttempt {
    guard attempt.role != .loser else { return attempt }
    return try BilledAttempt(
      host: attempt.host, price: attempt.price,
      usage: attempt.usage.adding(TokenUsage(prompt: 0, completion: 777)),
      contributed: attempt.contributed, role: attempt.role)
  }
}
