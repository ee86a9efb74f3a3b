import ClusterModel
import InferenceCore

let conversation = Array(#"{"model":"m","messages":[{"role":"user","content":"Go on."}]}"#.utf8)

/// One chunk of a host's answer.
func textChunk(_ text: String, finish: String? = nil) -> InferenceChunk {
  let reason = finish.map { #""\#($0)""# } ?? "null"
  let choice = #"{"index":0,"delta":{"content":"\#(text)"},"finish_reason":\#(reason)}"#
  let data = Array(#"{"id":"c","choices":[\#(choice)]}"#.utf8)
  return InferenceChunk(data: data, facts: ChunkFacts(text: text, finishReason: finish))
}

func piece(_ text: String, finish: String? = nil) -> UpstreamItem {
  .chunk(textChunk(text, finish: finish))
}

/// The text that the client receives.
func clientText(_ directives: [InferenceRun.Directive]) -> String {
  directives.reduce(into: "") {
    if case .deliver(.chunk(let chunk)) = $1 { $0 += chunk.facts.text }
  }
}

/// The summary that the run delivers at its end.
func summaryOf(_ directives: [InferenceRun.Directive]) -> InferenceSummary? {
  for case .deliver(.finished(let summary)) in directives { return summary }
  return nil
}

func lastFailure(_ directives: [InferenceRun.Directive]) -> Failure? {
  guard case .fail(let failure)? = directives.last else { return nil }
  return failure
}
