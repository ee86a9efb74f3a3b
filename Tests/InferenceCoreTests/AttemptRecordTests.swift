import ClusterModel
import InferenceCore
import Limits
import Testing

@Suite("Record of an attempt for operators")
struct AttemptRecordTests {
  @Test("one that was beaten, one that answered, and one that failed, with its reason")
  func text() {
    var record = AttemptRecord(
      host: "embedded-2", model: "m", role: .first, started: .zero, ended: .milliseconds(310),
      outcome: .beaten)
    #expect("\(record.facts)" == "embedded-2 first beaten, 0 tokens, 0–310 ms")
    record.tokens = 1
    record.outcome = .answered
    #expect("\(record.facts)" == "embedded-2 first answered, 1 token, 0–310 ms")
    record.role = .resumption
    record.outcome = .failed(AttemptFailure(.stall, "it sent nothing for 500 ms"))
    #expect(
      "\(record.facts)"
        == "embedded-2 resumption stall, 1 token, 0–310 ms: it sent nothing for 500 ms")
  }

  @Test("a host breaks off an answer if it fails by itself after its first token")
  func brokenOff() {
    func isBrokenOff(_ outcome: AttemptOutcome, tokens: Int) -> Bool {
      AttemptRecord(
        host: "h", model: "m", started: .zero, ended: .seconds(1), tokens: tokens, outcome: outcome
      ).isBrokenOff
    }
    for kind in [AttemptFailure.Kind.lost, .cut, .stall, .garbage, .errorEvent] {
      #expect(isBrokenOff(.failed(AttemptFailure(kind, "")), tokens: 1), "\(kind)")
      #expect(!isBrokenOff(.failed(AttemptFailure(kind, "")), tokens: 0), "\(kind)")
    }
    for kind in [AttemptFailure.Kind.consumerLeft, .totalDeadline, .tooLarge, .badJoint] {
      #expect(!isBrokenOff(.failed(AttemptFailure(kind, "")), tokens: 1), "\(kind)")
    }
    #expect(!isBrokenOff(.beaten, tokens: 1) && !isBrokenOff(.answered, tokens: 1))
  }
}

@Suite("Attempts that are paid")
struct PaidAttemptTests {
  private static func record(
    _ host: HostID, _ outcome: AttemptOutcome, tokens: Int, tier: HostTier = .community
  ) -> AttemptRecord {
    AttemptRecord(
      host: host, model: "alias", tier: tier, started: .zero, ended: .seconds(1), tokens: tokens,
      outcome: outcome, hostModel: "real")
  }

  private static func failed(_ kind: AttemptFailure.Kind) -> AttemptOutcome {
    .failed(AttemptFailure(kind, "it failed"))
  }

  private static func inference(_ attempts: [AttemptRecord]) -> TaskInference {
    TaskInference(
      InferenceSummary(
        host: "h", model: "alias", usage: Usage(promptTokens: 3, completionTokens: 20),
        finishReason: "stop", firstToken: .zero, total: .seconds(1), attempts: attempts))
  }

  @Test("an inference has the attempts that may earn something, under the host's name of the model")
  func attempts() {
    let inference = Self.inference([
      Self.record("refused", Self.failed(.connect), tokens: 0),
      Self.record("idle", .beaten, tokens: 0),
      Self.record("broken", Self.failed(.stall), tokens: 5),
      Self.record("left", Self.failed(.consumerLeft), tokens: 6),
      Self.record("last", .answered, tokens: 9, tier: .fallback),
    ])
    #expect(
      inference
        == TaskInference(
          model: "alias", usage: Usage(promptTokens: 3, completionTokens: 20),
          attempts: [
            PaidAttempt(host: "idle", model: "real", tokens: 0, outcome: .beaten),
            PaidAttempt(host: "broken", model: "real", tokens: 5, outcome: .failed),
            PaidAttempt(host: "left", model: "real", tokens: 6, outcome: .delivered),
            PaidAttempt(
              host: "last", model: "real", tier: .fallback, tokens: 9, outcome: .delivered),
          ]))
  }

  @Test("a host that completed an answer without a token is paid for the prompt")
  func vector() {
    let inference = Self.inference([Self.record("h", .answered, tokens: 0)])
    #expect(inference.attempts.map(\.outcome) == [.delivered])
  }

  @Test("of too many attempts, the last ones stay")
  func tooMany() {
    let most = Limits.inferenceAttempts.value
    let attempts = (0...most).map { Self.record(HostID("h\($0)"), .beaten, tokens: 1) }
    #expect(Self.inference(attempts).attempts.map(\.host) == attempts.dropFirst().map(\.host))
  }
}
