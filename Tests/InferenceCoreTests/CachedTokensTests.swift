import ClusterModel
import Foundation
import InferenceCore
import Testing

private let usageWanted = #","stream_options":{"include_usage":true}"#

/// A chunk that ends the answer and reports usage with cached prompt tokens.
private func lastChunk(_ text: String, prompt: Int, cached: Int) -> String {
  #"{"id":"z","object":"chat.completion.chunk","created":9,"model":"z","choices":[{"index":0,"#
    + #""delta":{"content":"\#(text)"},"finish_reason":"stop"}],"#
    + #""usage":{"prompt_tokens":\#(prompt),"completion_tokens":2,"#
    + #""prompt_tokens_details":{"cached_tokens":\#(cached)}}}"#
}

/// Cached tokens in the last usage that the client received. `nil` means that it has no details.
private func reportedCachedTokens(_ hop: HopRun) -> Int? {
  let usage =
    hop.body?["usage"] as? HopRun.Object
    ?? hop.objects.last { $0["usage"] is HopRun.Object }?["usage"] as? HopRun.Object
  return (usage?["prompt_tokens_details"] as? HopRun.Object)?["cached_tokens"] as? Int
}

@Suite("Cached tokens that hosts report")
struct CachedTokensTests {
  @Test(
    "an OpenAI host's count is at most its prompt, and an invalid one is 0",
    arguments: [
      (#"{"cached_tokens":4,"audio_tokens":1}"#, 4), (#"{"cached_tokens":10}"#, 10),
      (#"{"cached_tokens":11}"#, 10), (#"{"cached_tokens":\#(Int.max)}"#, 10),
      (#"{"cached_tokens":1e300}"#, 0), (#"{"cached_tokens":-4}"#, 0),
      (#"{"cached_tokens":0.5}"#, 0), (#"{"cached_tokens":"4"}"#, 0),
      (#"{"cached_tokens":null}"#, 0), ("{}", 0), ("null", 0), ("[4]", 0), ("4", 0),
    ])
  func details(_ details: String, _ cached: Int) throws {
    let usage =
      #""usage":{"prompt_tokens":10,"completion_tokens":2,"prompt_tokens_details":\#(details)}"#
    let expected = Usage(promptTokens: 10, cachedTokens: cached, completionTokens: 2)
    for choices in ["[]", #"[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]"#] {
      let facts = try ChunkFacts(parsing: Array(#"{"choices":\#(choices),\#(usage)}"#.utf8))
      #expect(facts.usage == expected)
    }
  }

  @Test("Anthropic's tokens that were read from the cache are cached, and written ones are not")
  func anthropic() throws {
    let reading = UpstreamReading(
      dialect: .anthropic, endpoint: .chatCompletions, streams: true, model: "m")
    let events = [
      #"{"type":"message_start","message":{"id":"a","model":"c","usage":{"input_tokens":5,"#
        + #""cache_read_input_tokens":30,"cache_creation_input_tokens":7,"output_tokens":1}}}"#,
      #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
      #"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}"#,
      #"{"type":"message_stop"}"#,
    ]
    let items = try #require(read(events.map { "data: \($0)\n\n" }.joined(), reading))
    let usages = items.compactMap { item -> Usage? in
      guard case .chunk(let chunk) = item else { return nil }
      return chunk.facts.usage
    }
    #expect(
      usages == [
        Usage(promptTokens: 42, cachedTokens: 30, completionTokens: 0),
        Usage(promptTokens: 42, cachedTokens: 30, completionTokens: 3),
      ])
  }

  @Test("Ollama reports no cached tokens")
  func ollama() throws {
    let reading = UpstreamReading(
      dialect: .ollama, endpoint: .chatCompletions, streams: true, model: "m")
    let line =
      #"{"model":"l","message":{"role":"assistant","content":"x"},"done":true,"#
      + #""prompt_eval_count":26,"eval_count":2}"#
    let usages = try #require(read(line + "\n", reading)).compactMap { item -> Usage? in
      guard case .chunk(let chunk) = item else { return nil }
      return chunk.facts.usage
    }
    #expect(usages == [Usage(promptTokens: 26, completionTokens: 2)])
  }

  @Test("the details of a single host reach the client unchanged", arguments: [true, false])
  func single(_ stream: Bool) {
    var hop = HopRun(stream ? usageWanted : "", stream: stream)
    hop.say("One")
    hop.send(lastChunk(" two", prompt: 7, cached: 5))
    hop.end()
    #expect(
      hop.summary?.usage == Usage(promptTokens: 7, cachedTokens: 5, completionTokens: 2))
    #expect(reportedCachedTokens(hop) == 5)
  }

  @Test(
    "an answer of two hosts has the cached tokens of the first one, if that one reported them",
    arguments: [true, false])
  func firstHost(_ stream: Bool) {
    var hop = HopRun(stream ? usageWanted : "", stream: stream)
    // The first host reports one cached token with each chunk.
    hop.say("One", usage: (11, 1))
    hop.say(" two", usage: (11, 2))
    hop.say(" th", usage: (11, 3))
    hop.breakOff()
    hop.send(lastChunk(" three", prompt: 99, cached: 90))
    hop.end()
    #expect(hop.summary?.usage.promptTokens == 11)
    #expect(hop.summary?.usage.cachedTokens == 1)
    #expect(reportedCachedTokens(hop) == 1)
  }

  @Test(
    "the second host's cached tokens are not those of a first host that reported none",
    arguments: [true, false])
  func silentFirstHost(_ stream: Bool) {
    var hop = HopRun(stream ? usageWanted : "", stream: stream)
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    hop.send(lastChunk(" three", prompt: 99, cached: 90))
    hop.end()
    #expect(hop.summary?.usage.cachedTokens == 0)
    #expect(hop.usage != nil && reportedCachedTokens(hop) == nil)
  }

  @Test("a host that replaces one without a token reports its own cached tokens")
  func retry() {
    var hop = HopRun(usageWanted)
    hop.breakOff()
    hop.say("One")
    hop.send(lastChunk(" two", prompt: 7, cached: 5))
    hop.end()
    #expect(hop.summary?.usage.cachedTokens == 5)
  }

  @Test("the cached tokens of a beaten host do not count")
  func beaten() {
    var hop = HopRun(usageWanted, race: .dual)
    // The host of the first attempt loses the race. It reports one cached token.
    hop.say("", usage: (5, 90), from: 0)
    hop.say("One", from: 1)
    hop.say(" two", finish: "stop", from: 1)
    hop.end()
    #expect(hop.summary?.usage.cachedTokens == 0)
  }

  @Test("a host that resumes another process's text reports its own cached tokens")
  func givenPrefix() throws {
    let cluster = FixedCluster([
      Host(
        id: "a", url: "http://a", resume: .trailingAssistant, state: .ready,
        models: [.init(id: "m")])
    ])
    var run = InferenceRun(
      request: InferenceRequest(
        endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)),
        prefix: Array("The quick brown".utf8)),
      constraints: InferenceConstraints(seed: 1))
    var directives = run.begin(cluster, now: .zero)
    let leg = try #require(
      directives.compactMap { directive -> AttemptID? in
        guard case .start(let id, _, _) = directive else { return nil }
        return id
      }.first)
    let data = Array(lastChunk(" fox.", prompt: 40, cached: 12).utf8)
    let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
    directives += run.received(.chunk(chunk), from: leg, cluster: cluster, now: .zero)
    directives += run.received(.done, from: leg, cluster: cluster, now: .zero)
    let usage = try #require(summaryOf(directives)?.usage)
    #expect(usage.cachedTokens == 12 && (12..<40).contains(usage.promptTokens))
  }

  @Test("an array of answers has the cached tokens of all of them")
  func batch() throws {
    let usage =
      #"{"prompt_tokens":4,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3}}"#
    let answers = (0...1).map {
      #"{"choices":[{"index":\#($0),"text":"x","finish_reason":"stop"}],"usage":\#(usage)}"#
    }
    var reader = UpstreamReader(
      UpstreamReading(endpoint: .completions, streams: false, choices: 2), status: 200)
    _ = reader.append(Array("[\(answers.joined(separator: ","))]".utf8))
    guard case .body(_, let facts)? = reader.end().first else {
      Issue.record("the answers were not merged")
      return
    }
    #expect(facts.usage == Usage(promptTokens: 8, cachedTokens: 6, completionTokens: 4))
  }
}
