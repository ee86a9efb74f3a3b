import Access
import ClusterModel
import Testing

@Suite("Failed attempts")
struct FailedAttemptsTests {
  private let good: APIKey
  private let table: AccessTable

  init() throws {
    good = try sampleKey(1)
    table = try sampleTable([try sampleRecord(good)])
  }

  /// Presents a key as a gateway does.
  /// - Returns: the decision; `nil` means that the key was not checked.
  private func attempt(
    _ attempts: inout FailedAttempts<String>, _ presented: PresentedKey,
    from source: String = "192.0.2.1", at now: Instant
  ) -> AccessDecision? {
    let admission = attempts.admit(source, presented, at: now)
    if case .refused = admission { return nil }
    let decision = table.check(presented, for: AccessNeed(.chat), at: 0)
    if admission == .known, decision.refusal == nil { return decision }
    attempts.record(decision, from: source, at: now)
    return decision
  }

  private func refusal(of admission: FailedAttempts<String>.Admission) -> Failure? {
    if case .refused(let failure) = admission { failure } else { nil }
  }

  private func block(_ attempts: inout FailedAttempts<String>, at now: Instant = .zero) throws {
    for _ in 0..<20 {
      #expect(attempt(&attempts, .key(try sampleKey(2)), at: now) != nil)
    }
  }

  @Test("after 20 wrong keys in a minute an address is refused without a check")
  func blocked() throws {
    var attempts = FailedAttempts<String>()
    try block(&attempts)
    #expect(attempt(&attempts, .key(try sampleKey(2)), at: .zero) == nil)
    #expect(attempt(&attempts, .unusable(.malformed), at: .zero) == nil)
    #expect(attempts.failureCount == 20)
    #expect(attempts.refusedCount == 2)
    #expect(attempt(&attempts, .key(try sampleKey(2)), from: "192.0.2.2", at: .zero) != nil)
  }

  @Test("wrong admin tokens count as well, and block all but an address that used the right one")
  func tokens() throws {
    var attempts = FailedAttempts<String>()
    for source in ["192.0.2.1", "192.0.2.2"] {
      for _ in 0..<20 {
        #expect(attempts.admitToken(source, at: .zero) == .unknown)
        attempts.recordToken(isRight: false, from: source, at: .zero)
      }
      #expect(refusal(of: attempts.admitToken(source, at: .zero))?.code == .rateLimited)
    }
    #expect(attempt(&attempts, .key(try sampleKey(2)), at: .zero) == nil)
    attempts.recordToken(isRight: true, from: "192.0.2.1", at: .zero)
    #expect(attempts.admitToken("192.0.2.1", at: .zero) == .known)
    #expect(refusal(of: attempts.admitToken("192.0.2.2", at: .zero)) != nil)
    #expect(attempts.failureCount == 40)
  }

  @Test("a refusal gives the time to wait")
  func sentence() throws {
    var attempts = FailedAttempts<String>()
    try block(&attempts)
    let now = Instant(sinceStart: .milliseconds(500))
    let admission = attempts.admit("192.0.2.1", .unusable(.malformed), at: now)
    let failure = try #require(refusal(of: admission))
    #expect(failure.code == .rateLimited)
    #expect(failure.retryAfter == .seconds(30))
    #expect(failure.message.contains("30 seconds"))
  }

  @Test("a block ends after 30 seconds, however many keys are tried meanwhile")
  func blockEnds() throws {
    var attempts = FailedAttempts<String>()
    try block(&attempts)
    for second in 0..<30 {
      for _ in 0..<10 {
        #expect(attempt(&attempts, .key(try sampleKey(2)), at: seconds(second)) == nil)
      }
    }
    #expect(attempt(&attempts, .key(good), at: seconds(30))?.refusal == nil)
    #expect(attempt(&attempts, .key(good), at: seconds(30)) != nil)
  }

  @Test("a key that worked from an address works while the address is blocked")
  func sharedAddress() throws {
    var attempts = FailedAttempts<String>()
    #expect(attempt(&attempts, .key(good), at: .zero)?.refusal == nil)
    try block(&attempts)
    #expect(attempt(&attempts, .key(good), at: seconds(1)) != nil)
    #expect(attempt(&attempts, .key(try sampleKey(2)), at: seconds(1)) == nil)
  }

  @Test("wrong keys that are more than a minute apart do not add up")
  func slow() throws {
    var attempts = FailedAttempts<String>()
    for minute in 0..<100 {
      for _ in 0..<19 {
        #expect(attempt(&attempts, .key(try sampleKey(2)), at: seconds(60 * minute)) != nil)
      }
    }
  }

  @Test("requests without a key and with an expired one are no failed attempts")
  func otherRefusals() {
    var attempts = FailedAttempts<String>()
    for _ in 0..<100 { #expect(attempt(&attempts, .absent, at: .zero) != nil) }
    #expect(attempts.failureCount == 0)
    #expect(attempts.sourceCount == 0)
  }

  @Test("a request without a key is answered while its address is blocked")
  func noKey() throws {
    var attempts = FailedAttempts<String>()
    try block(&attempts)
    #expect(attempt(&attempts, .absent, at: .zero)?.refusal?.reason == .missing)
  }

  @Test("a flood from many addresses replaces the oldest and keeps the memory bounded")
  func flood() throws {
    var attempts = FailedAttempts<String>(maximumSources: 100)
    try block(&attempts)
    for number in 0..<1_000 {
      #expect(
        attempt(&attempts, .unusable(.malformed), from: "198.51.100.\(number)", at: .zero) != nil)
      #expect(attempts.sourceCount <= 100)
    }
    #expect(attempts.failureCount == 1_020)
    #expect(attempt(&attempts, .key(good), from: "203.0.113.9", at: .zero)?.refusal == nil)
  }

  @Test("a clock that jumps back ends a block, and one that jumps ahead does too")
  func clockJumps() throws {
    for jump in [-1, -1_000_000, 30, 1_000_000] {
      var attempts = FailedAttempts<String>()
      try block(&attempts, at: seconds(500_000))
      #expect(attempt(&attempts, .key(good), at: seconds(500_000 + jump)) != nil)
    }
  }

  @Test("no address is ever blocked for longer than 30 seconds", arguments: 0..<20)
  func property(seed: UInt64) throws {
    var rng = SplitMix64(seed: seed)
    var attempts = FailedAttempts<String>(maximumSources: 3)
    var blockedSince: [String: Int] = [:]
    var now = 0
    for _ in 0..<1_000 {
      now += Int.random(in: 0...3, using: &rng)
      let source = "192.0.2.\(Int.random(in: 0...4, using: &rng))"
      if attempt(&attempts, .unusable(.malformed), from: source, at: seconds(now)) == nil {
        #expect(now - (blockedSince[source] ?? now) < 30)
        blockedSince[source] = blockedSince[source] ?? now
      } else {
        blockedSince[source] = nil
      }
      #expect(attempts.sourceCount <= 3)
    }
  }
}
