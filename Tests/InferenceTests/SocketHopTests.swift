import AnswerTesting
import ClusterModel
import ClusterTesting
import Foundation
import InferenceCore
import Testing

@Suite("Answers that one host begins and another ends, over sockets", .timeLimit(.minutes(5)))
struct SocketHopTests {
  private static let words = (1...40).map { "word\($0)" }
  private static let answer = CorpusAnswer(
    name: "words", content: words.joined(separator: " ") + ".")

  /// Hosts that send one token per word, so that tokens can be counted. The first host breaks off
  /// halfway.
  private func counting() async throws -> SocketHosts {
    let corpus = FaultyHostCorpus(
      [SocketHosts.marker(Self.answer): FaultyHostReply(Self.answer.content)])
    var hosts: [FaultyHost] = []
    for seed in 0...1 as ClosedRange<UInt64> {
      hosts.append(try await .started(.init(answer: .corpus(corpus), seed: seed)))
    }
    hosts[0].faults = FaultyHostFaults(
      kind: .drop, atByte: Self.words[..<20].joined(separator: " ").utf8.count)
    return SocketHosts(hosts: hosts, ways: [.trailingAssistant, .trailingAssistant])
  }

  private func body(_ host: FaultyHost) throws -> [String: Any] {
    let sent = try #require(host.requests.last)
    let object = try JSONSerialization.jsonObject(with: Data(sent.body))
    return try #require(object as? [String: Any])
  }

  @Test("usage: the prompt once, and every token of the answer once", arguments: [true, false])
  func usage(_ stream: Bool) async throws {
    let hosts = try await counting()
    let told = await hosts.ask(
      SocketHosts.marker(Self.answer), stream: stream,
      extra: stream ? #","stream_options":{"include_usage":true}"# : "", seed: 1)
    #expect(told.received.content == Self.answer.content)
    let usage = try #require(told.summary?.usage)
    #expect((39...41).contains(usage.completionTokens), "\(usage)")
    // The second host's prompt contains the first half. This half is not counted as the client's
    // prompt.
    #expect(usage.promptTokens <= 7, "\(usage)")
    if stream {
      #expect(told.usage.map { $0.completionTokens == usage.completionTokens } ?? false, "\(told)")
      #expect(told.usage?.promptTokens == usage.promptTokens)
    }
    try await hosts.stop()
  }

  @Test("max_tokens: what the client has is taken off", arguments: [true, false])
  func maximum(_ stream: Bool) async throws {
    for (name, limit) in [("max_tokens", 30), ("max_completion_tokens", 25)] {
      let hosts = try await counting()
      let told = await hosts.ask(
        SocketHosts.marker(Self.answer), stream: stream, extra: #","\#(name)":\#(limit)"#, seed: 1)
      let got = told.received.content.split(separator: " ").count
      #expect((limit - 1...limit).contains(got), "\(got) \(told)")
      #expect(told.received.finish == "length")
      let sent = try body(hosts.hosts[1])
      let asked = try #require(sent[name] as? Int)
      #expect((limit - 20...limit - 18).contains(asked), "\(asked)")
      try await hosts.stop()
    }
  }

  @Test("a stop sequence across the joint ends the answer", arguments: [true, false])
  func stop(_ stream: Bool) async throws {
    let hosts = try await counting()
    // Neither host alone sends the stop sequence. The first host breaks off within it, and the
    // second host would complete it.
    let gate = hosts.hosts[1].hold(.afterToken(10))
    let told = await hosts.ask(
      SocketHosts.marker(Self.answer), stream: stream, extra: #","stop":["word19 word20"]"#,
      seed: 1)
    #expect(told.failure == nil && told.received.finish == "stop", "\(told)")
    #expect(!told.received.content.contains("word20"), "\(told)")
    #expect(told.received.content.contains("word18"), "\(told)")
    await hosts.hosts[1].waitForCancels(1)
    gate.open()
    let sent = try body(hosts.hosts[1])
    #expect(sent["stop"] as? [String] == ["word19 word20"])
    try await hosts.stop()
  }

  @Test("id, model and created are the first host's", arguments: [true, false])
  func identity(_ stream: Bool) async throws {
    let hosts = try await counting()
    // Advance the second host's id counter, so that its next id differs from the first host's.
    for _ in 0..<3 { _ = await hosts.ask("nothing", require: "h1", seed: 1) }
    let told = await hosts.ask(SocketHosts.marker(Self.answer), stream: stream, seed: 1)
    #expect(told.summary?.host == "h1")
    #expect(told.received.identities.count == 1 && told.received.roles == 1, "\(told)")
    #expect(told.received.identities.first?.hasPrefix("chatcmpl-1 faulty-model ") == true)
    try await hosts.stop()
  }

  @Test(
    "several choices and logprobs are not continued: what came is followed by the named error",
    arguments: [(#","n":2"#, "choices (n)"), (#","logprobs":true"#, "logprobs")])
  func notContinued(_ extra: String, _ name: String) async throws {
    let hosts = try await counting()
    let told = await hosts.ask(SocketHosts.marker(Self.answer), extra: extra, seed: 1)
    #expect(told.failure?.code == .upstreamFailed)
    #expect(told.failure?.message.contains(name) == true, "\(told)")
    #expect(!told.received.content.isEmpty && told.summary == nil)
    #expect(Self.answer.content.hasPrefix(told.received.content))
    #expect(hosts.hosts[1].counts.inferences == 0)
    // Before the first token the client has nothing, so another host may start over.
    hosts.hosts[0].faults.atByte = 0
    let anew = await hosts.ask(SocketHosts.marker(Self.answer), extra: extra, seed: 1)
    #expect(anew.received.content.hasPrefix("word1"), "\(anew)")
    try await hosts.stop()
  }

  @Test("a client that does not stream has seen nothing: such an answer begins anew for it")
  func begunAnew() async throws {
    let hosts = try await counting()
    let told = await hosts.ask(
      SocketHosts.marker(Self.answer), stream: false, extra: #","logprobs":true"#, seed: 1)
    #expect(told.received.content == Self.answer.content, "\(told)")
    try await hosts.stop()
  }
}
