import ClusterModel
import Money

/// Seeded outcomes of requests: races, hedges, failovers, plans and cancelled answers.
struct OutcomeSource {
  enum Kind: CaseIterable {
    case single, race, hedge, failover, fallback, cancelled, nothing
  }

  var rng: SplitMixSource

  init(seed: UInt64) { rng = SplitMixSource(seed: seed) }

  mutating func rule() throws -> PayoutRule {
    try PayoutRule(
      reservationFee: MicroCredits(rng.number(0...100)),
      progressFee: MicroCredits(rng.number(0...3_000_000)),
      perMilleOfWinner: rng.number(PayoutRule.shares))
  }

  /// One answer for a request, up to 8 for a plan.
  mutating func answers() throws -> [BilledAnswer] {
    var answers: [BilledAnswer] = []
    for _ in 0..<(rng.chance(oneIn: 3) ? rng.number(2...8) : 1) { answers.append(try answer()) }
    return answers
  }

  private mutating func answer() throws -> BilledAnswer {
    let prompt = rng.number(Int64(0)...5_000)
    var attempts: [BilledAttempt] = []
    switch Kind.allCases.randomElement(using: &rng) ?? .single {
    case .single:
      attempts = [try attempt(.winner, prompt)]
    case .race:
      attempts = [try attempt(.winner, prompt)]
      for _ in 0..<rng.number(1...3) { attempts.append(try attempt(.loser, prompt)) }
    case .hedge:
      attempts = [try attempt(.loser, prompt), try attempt(.winner, prompt)]
    case .failover:
      attempts = [try attempt(rng.chance(oneIn: 2) ? .failed : .winner, prompt)]
      if rng.chance(oneIn: 2) { attempts.append(try attempt(.loser, prompt)) }
      for _ in 0..<rng.number(0...3) { attempts.append(try attempt(.failed, prompt)) }
      attempts.append(try attempt(.continued, prompt))
    case .fallback:
      attempts = [try attempt(.failed, prompt), try attempt(.fallback, prompt)]
    case .cancelled:
      attempts = [try attempt(.loser, prompt)]
      if rng.chance(oneIn: 2) { attempts.append(try attempt(.winner, prompt)) }
    case .nothing:
      for _ in 0..<rng.number(0...3) { attempts.append(try attempt(.failed, prompt)) }
    }
    let delivered = attempts.reduce(0) { $0 + $1.contributed }
    return try BilledAnswer(
      usage: usage(prompt: delivered > 0 ? prompt : 0, completion: delivered),
      price: price(), attempts: attempts.shuffled(using: &rng))
  }

  private mutating func attempt(
    _ role: BilledAttempt.Role, _ prompt: Int64
  ) throws -> BilledAttempt {
    // A third of the attempts have few tokens, like a host that stalls after its first token.
    let made = rng.chance(oneIn: 3) ? rng.number(0...1) : rng.number(Int64(0)...3_000)
    return try BilledAttempt(
      host: HostID("host-\(rng.number(1...4))"), price: price(),
      usage: usage(prompt: prompt, completion: made),
      contributed: role == .loser ? 0 : rng.number(0...made), role: role)
  }

  private mutating func usage(prompt: Int64, completion: Int64) throws -> TokenUsage {
    try TokenUsage(prompt: prompt, cached: rng.number(0...prompt), completion: completion)
  }

  private mutating func price() throws -> TokenPrice {
    guard !rng.chance(oneIn: 6) else { return .free }
    return try TokenPrice(
      input: MicroCredits(rng.number(0...5_000_000)),
      cachedInput: MicroCredits(rng.number(0...1_000_000)),
      output: MicroCredits(rng.number(0...20_000_000)))
  }
}
