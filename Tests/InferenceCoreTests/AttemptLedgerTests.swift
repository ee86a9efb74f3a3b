import ClusterModel
import Testing

@testable import InferenceCore

@Suite("The ledger of a run's attempts")
struct AttemptLedgerTests {
  private func record(
    _ host: HostID, _ outcome: AttemptOutcome, tokens: Int = 0, role: AttemptRole = .first
  ) -> AttemptRecord {
    AttemptRecord(
      host: host, model: "m", role: role, started: .zero, ended: .seconds(1), tokens: tokens,
      outcome: outcome)
  }

  private func failed(
    _ host: HostID, _ kind: AttemptFailure.Kind, status: Int? = nil, role: AttemptRole = .first
  ) -> AttemptRecord {
    record(host, .failed(AttemptFailure(kind, "gone", status: status)), role: role)
  }

  private func unclear(_ host: HostID) -> AttemptRecord {
    var failure = AttemptFailure(.badJoint, "unclear")
    failure.isUnclear = true
    return record(host, .failed(failure))
  }

  private func ledger(_ records: AttemptRecord...) -> AttemptLedger {
    var ledger = AttemptLedger()
    for record in records { ledger.append(record) }
    return ledger
  }

  @Test("unclear joints count apart from other failures, and refused additions do not count")
  func exhausted() {
    let ledger = ledger(
      failed("a", .lost), unclear("b"), failed("c", .formRefused), record("d", .beaten))
    #expect(ledger.isExhausted(limit: 1) && !ledger.isExhausted(limit: 2))
    #expect(ledger.failed.map(\.host) == ["a", "b"])
    #expect(ledger.hosts == ["a", "b", "c", "d"])
    #expect(ledger.hostsWithFailure == ["a", "b", "c"])
  }

  @Test("a host may be asked again after one failure by chance, or after it lost a race")
  func chance() {
    #expect(ledger(failed("a", .lost)).repetition(of: "a") == .allowed)
    #expect(ledger(record("a", .beaten)).repetition(of: "a") == .allowed)
    #expect(ledger(failed("a", .connect)).repetition(of: "a") == .refused)
    #expect(ledger(failed("a", .lost), failed("a", .cut)).repetition(of: "a") == .refused)
    #expect(
      ledger(failed("a", .formRefused), failed("a", .lost)).repetition(of: "a") == .allowed)
  }

  @Test("a server error is repeated once, at any host")
  func serverError() {
    let one = failed("a", .status, status: 500)
    #expect(ledger(one).repetition(of: "a") == .allowed)
    #expect(ledger(one, failed("b", .status, status: 501)).repetition(of: "a") == .refused)
    #expect(ledger(one, failed("b", .status, status: 502)).repetition(of: "a") == .allowed)
  }

  @Test("the answer decides on a host whose text did not join")
  func badJoint() {
    let first = ledger(failed("a", .lost), failed("a", .badJoint))
    #expect(first.repetition(of: "a") == .afterBadJoint(isFirst: true))
    let second = ledger(failed("a", .badJoint), failed("a", .badJoint))
    #expect(second.repetition(of: "a") == .afterBadJoint(isFirst: false))
    #expect(second.hasBadJoint("a") && !second.hasBadJoint("b"))
    #expect(ledger(failed("a", .badJoint), failed("a", .cut)).lastFailure(of: "a")?.kind == .cut)
  }

  @Test("hosts whose context is not larger than one that was too small are excluded")
  func context() {
    let candidates = [("a", 4_096), ("b", 2_048), ("c", 8_192)].map { name, tokens in
      Candidate(
        host: Host(
          id: HostID(name), url: "http://\(name)", models: [.init(id: "m", contextTokens: tokens)]),
        model: "m")
    }
    let small = ledger(failed("a", .contextTooSmall))
    #expect(Set(small.hostsNotLarger(among: candidates)) == ["a", "b"])
    #expect(ledger(failed("a", .lost)).hostsNotLarger(among: candidates).isEmpty)
  }

  @Test("only a refusal of the whole request is contradicted by another host's answer")
  func contradicted() {
    let ledger = ledger(
      failed("a", .rejected, status: 400), failed("b", .rejected),
      failed("c", .rejected, status: 400, role: .resumption), failed("d", .lost))
    #expect(ledger.contradicted.map(\.host) == ["a"])
  }

  @Test("if every host is busy, the client waits for the first one that is free")
  func busy() {
    let failures = [30, 5].map {
      AttemptFailure(.busy, "full", retryAfter: .seconds($0))
    }
    let failure = ledger(record("a", .failed(failures[0])), record("b", .failed(failures[1])))
      .failure
    #expect(failure.code == .hostsBusy && failure.retryAfter == .seconds(5))
    #expect(
      failure.message == "every host that was asked is busy: host a: full; host b: full")
  }

  @Test("a rejection comes before all other failures")
  func rejection() {
    let failure = ledger(failed("a", .rejected, status: 404), failed("b", .totalDeadline)).failure
    #expect(failure.code == .modelNotFound)
    #expect(failure.message == "host a rejects the request: gone")
  }

  @Test("a broken answer counts the tokens that reached the client, and repeated causes once")
  func brokenAnswer() {
    let lost = AttemptFailure(.lost, "gone")
    let ledger = ledger(
      record("a", .failed(lost), tokens: 3), record("b", .beaten, tokens: 7),
      record("a", .failed(lost), tokens: 2, role: .resumption))
    let failure = ledger.failureOfAnswer(after: lost, nil)
    #expect(failure.code == .upstreamFailed)
    #expect(
      failure.message
        == "the answer broke off after 5 tokens and no other host could resume it: "
        + "host a: gone (2 times)")
    let late = ledger.failureOfAnswer(after: AttemptFailure(.totalDeadline, "slow"), nil)
    #expect(late.code == .deadlineExceeded)
  }

  @Test("a host is asked twice to repeat text, and its first time is known")
  func repetitions() {
    var history = ResumeHistory()
    #expect(!history.isInstructed("a") && history.mayRepeat("a"))
    history.recordInstruction(of: "a")
    #expect(history.isInstructed("a") && !history.isInstructed("b"))
    let isFirst = [history.recordRepetition(of: "a"), history.recordRepetition(of: "a")]
    #expect(isFirst == [true, false])
    #expect(!history.mayRepeat("a") && history.mayRepeat("b"))
  }
}
