import ClusterModel
import InferenceCore
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
}
