import ClusterModel
import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

/// The response to one request to a faulty host.
private struct Heard {
  var status = 0
  var headers = HTTPHeaders()
  var bytes: [UInt8] = []
  /// Whether the connection ended before the answer did.
  var isBroken = false

  var text: String { String(decoding: bytes, as: UTF8.self) }

  /// The JSON of every complete event or line.
  var objects: [[String: Any]] {
    let whole = text.lastIndex(of: "\n").map { text[...$0] } ?? ""
    return whole.split(separator: "\n").compactMap { line in
      let json = line.hasPrefix("data: ") ? line.dropFirst(6) : line[...]
      return (try? JSONSerialization.jsonObject(with: Data(json.utf8))) as? [String: Any]
    }
  }

  /// Text and tool arguments, in any dialect.
  var said: String { objects.map(Self.said).joined() }

  private static func said(_ object: [String: Any]) -> String {
    if let choice = (object["choices"] as? [[String: Any]])?.first {
      let delta = choice["delta"] as? [String: Any] ?? [:]
      let calls = delta["tool_calls"] as? [[String: Any]] ?? []
      return (delta["content"] as? String ?? "")
        + calls.map { ($0["function"] as? [String: Any])?["arguments"] as? String ?? "" }.joined()
    }
    if let delta = object["delta"] as? [String: Any] {
      return delta["text"] as? String ?? delta["partial_json"] as? String ?? ""
    }
    return (object["message"] as? [String: Any])?["content"] as? String ?? ""
  }
}

private func ask(
  _ host: FaultyHost, _ path: String, _ json: String? = nil, headers: [(String, String)] = []
) async throws -> Heard {
  var request = HTTPClientRequest(url: host.url + path)
  request.headers = HTTPHeaders(headers)
  if let json {
    request.method = .POST
    request.body = .bytes(ByteBuffer(string: json))
  }
  var heard = Heard()
  do {
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
    heard.status = Int(response.status.code)
    heard.headers = response.headers
    for try await buffer in response.body { heard.bytes += buffer.readableBytesView }
  } catch {
    guard error as? HTTPClientError != .deadlineExceeded else { throw error }
    heard.isBroken = true
  }
  return heard
}

private func withHost(
  _ configuration: FaultyHostConfiguration, _ body: (FaultyHost) async throws -> Void
) async throws {
  let host = try await FaultyHost.started(configuration)
  do {
    try await body(host)
  } catch {
    try await host.stop()
    throw error
  }
  try await host.stop()
}

private func path(_ dialect: HostDialect) -> String {
  switch dialect {
  case .openai: "/v1/chat/completions"
  case .anthropic: "/v1/messages"
  case .ollama: "/api/chat"
  }
}

private func body(_ messages: String, stream: Bool = true, _ more: String = "") -> String {
  #"{"model":"faulty-model","max_tokens":1000,"stream":\#(stream),"messages":[\#(messages)]\#(more)}"#
}

private func message(_ role: String, _ text: String) -> String {
  let json = try? JSONSerialization.data(withJSONObject: ["role": role, "content": text])
  return String(decoding: json ?? Data(), as: UTF8.self)
}

@Suite("The faulty host", .timeLimit(.minutes(5)))
struct FaultyHostTests {
  static let text = "Héllo, \"wörld\"\n- 日本 😀 done."

  /// The text before the byte at `offset`, without an incomplete character.
  static func prefix(_ offset: Int) -> String {
    var bytes = Array(text.utf8.prefix(offset))
    while String(validating: bytes, as: UTF8.self) == nil { bytes.removeLast() }
    return String(decoding: bytes, as: UTF8.self)
  }

  @Test(
    "an answer breaks exactly before its byte, in every dialect and in every way",
    arguments: HostDialect.allCases,
    [FaultyHostFaults.Kind.drop, .garbage, .error, .end])
  func everyByte(_ dialect: HostDialect, _ kind: FaultyHostFaults.Kind) async throws {
    let configuration = FaultyHostConfiguration(
      answer: .text(Self.text), tokens: .seeded(3, longest: 5))
    try await withHost(configuration) { host in
      var exact = 0
      var unfinished = 0
      for offset in 0..<Self.text.utf8.count {
        host.faults = FaultyHostFaults(kind: kind, atByte: offset)
        let heard = try await ask(host, path(dialect), body(message("user", "hi")))
        if kind == .drop {
          // Bytes that the client had not read when the connection dropped are lost.
          #expect(Self.prefix(offset).hasPrefix(heard.said), "byte \(offset)")
          exact += heard.said == Self.prefix(offset) ? 1 : 0
          unfinished += heard.text.isEmpty || heard.text.hasSuffix("\n") ? 0 : 1
        } else {
          #expect(heard.said == Self.prefix(offset), "byte \(offset)")
        }
        #expect(heard.isBroken == (kind == .drop))
        #expect(heard.text.contains("garbage") == (kind == .garbage))
        #expect(heard.text.contains("error event") == (kind == .error))
      }
      if kind == .drop { #expect(exact > Self.text.utf8.count / 2 && unfinished > 0) }
      #expect(host.records.allSatisfy { $0.outcome == .broken && $0.fault == kind })
    }
  }

  @Test("a crawl is slow from its byte on, a half character is there, and both answers go on")
  func crawlAndHalfCharacter() async throws {
    try await withHost(.init(answer: .text(Self.text), tokens: .characters(9))) { host in
      host.faults = FaultyHostFaults(kind: .crawl, atByte: 20, crawlMilliseconds: 20)
      let path = "/v1/chat/completions"
      let began = ContinuousClock.now
      #expect(try await ask(host, path, body(message("user", "hi"))).said == Self.text)
      #expect(began.duration(to: .now) > .milliseconds(40))
      host.faults = FaultyHostFaults(kind: .halfCharacter, atByte: 20)
      let heard = try await ask(host, path, body(message("user", "hi")))
      #expect(String(validating: heard.bytes, as: UTF8.self) == nil)
      #expect(heard.text.hasSuffix("data: [DONE]\n\n"))
    }
  }

  @Test("a configured status replaces the answer, and a busy one has a time to retry")
  func statuses() async throws {
    try await withHost(.init()) { host in
      for dialect in HostDialect.allCases {
        let path = path(dialect)
        host.faults = FaultyHostFaults(kind: .status)
        #expect(try await ask(host, path, body(message("user", "hi"))).status == 500)
        host.faults = FaultyHostFaults(kind: .busy, retryAfter: 7)
        let busy = try await ask(host, path, body(message("user", "hi")))
        #expect(busy.status == 429 && busy.headers.first(name: "retry-after") == "7")
        #expect(busy.text.contains("rate_limit_error") == (dialect == .anthropic))
      }
    }
  }

  @Test("it continues a trailing assistant message from every byte, with other token borders")
  func prefill() async throws {
    let corpus = FaultyHostCorpus(["#1": FaultyHostReply(Self.text)])
    try await withHost(.init(answer: .corpus(corpus), tokens: .seeded(9, longest: 4))) { host in
      for dialect in HostDialect.allCases {
        let path = path(dialect)
        for offset in 1..<Self.text.utf8.count {
          let prefix = Self.prefix(offset)
          // Anthropic refuses a prefix that ends in white space; another test checks that.
          if dialect == .anthropic, prefix.last?.isWhitespace == true { continue }
          let messages = message("user", "say #1") + "," + message("assistant", prefix)
          let heard = try await ask(host, path, body(messages))
          #expect(prefix + heard.said == Self.text, "\(dialect) \(offset)")
        }
      }
      #expect(host.records.allSatisfy { $0.prefixBytes != nil })
    }
  }

  @Test("a backend with a flag continues only with it, one without prefill begins again")
  func otherPrefills() async throws {
    let corpus = FaultyHostCorpus(["faulty-model": FaultyHostReply("one two three")])
    let messages = message("user", "count") + "," + message("assistant", "one")
    let path = "/v1/chat/completions"
    try await withHost(.init(answer: .corpus(corpus), prefill: .flag)) { host in
      #expect(try await ask(host, path, body(messages)).said == "one two three")
      let both = try await ask(host, path, body(messages, #","continue_final_message":true"#))
      #expect(both.status == 400 && both.text.contains("add_generation_prompt"))
      let right = #","continue_final_message":true,"add_generation_prompt":false"#
      #expect(try await ask(host, path, body(messages, right)).said == " two three")
    }
    try await withHost(.init(answer: .corpus(corpus), prefill: .none)) { host in
      let heard = try await ask(host, path, body(messages))
      #expect(heard.said == "one two three")
    }
  }

  @Test("asked in words to continue, it follows its personality")
  func instructed() async throws {
    let corpus = FaultyHostCorpus(
      ["#1": FaultyHostReply("one two three")],
      resume: { resumption in
        FaultyHostReply(
          (resumption.isInstructed ? "Sure: " : "") + FaultyHostCorpus.oracle(resumption).text)
      })
    let told = [message("user", "#1"), message("assistant", "one two"), message("user", "Go on.")]
    try await withHost(.init(answer: .corpus(corpus))) { host in
      let heard = try await ask(host, "/v1/chat/completions", body(told.joined(separator: ",")))
      #expect(heard.said == "Sure:  three")
      let fresh = try await ask(
        host, "/v1/chat/completions", body((told + [message("user", "#1")]).joined(separator: ",")))
      #expect(fresh.said == "one two three")
    }
  }

  @Test("tool calls come in deltas and join to what they were")
  func toolCalls() async throws {
    let reply = FaultyHostReply(
      "Let me see.", reasoning: "Hm.",
      toolCalls: [
        .init(id: "call_1", name: "weather", arguments: #"{"city":"Zürich","days":[1,2]}"#),
        .init(id: "call_2", name: "time", arguments: "{}"),
      ])
    let all = reply.text + reply.toolCalls.map(\.arguments).joined()
    let configuration = FaultyHostConfiguration(
      answer: .writer { _ in reply }, tokens: .seeded(1, longest: 6))
    try await withHost(configuration) { host in
      let question = body(message("user", "hi"))
      let openai = try await ask(host, "/v1/chat/completions", question)
      #expect(openai.said == all)
      #expect(openai.text.contains(#""finish_reason":"tool_calls""#))
      let anthropic = try await ask(host, "/v1/messages", question)
      #expect(anthropic.said == all)
      let types = anthropic.objects.compactMap { $0["content_block"] as? [String: Any] }
        .compactMap { $0["type"] as? String }
      #expect(types == ["thinking", "text", "tool_use", "tool_use"])
      let ollama = try await ask(host, "/api/chat", question)
      let calls = ollama.objects.compactMap { $0["message"] as? [String: Any] }
        .compactMap { $0["tool_calls"] as? [[String: Any]] }
      #expect(calls.count == 2)
      // Without streaming, the answer is one object with the same content.
      for path in HostDialect.allCases.map(path) {
        let whole = try await ask(host, path, body(message("user", "hi"), stream: false))
        _ = try JSONSerialization.jsonObject(with: Data(whole.bytes))
        #expect(whole.text.contains("Zürich") && whole.text.contains("Let me see."))
      }
    }
  }

  @Test("random faults come as often as asked, and the same for the same seed")
  func randomFaults() async throws {
    var told: [[FaultyHostFaults.Kind?]] = []
    for _ in 1...2 {
      let faults = FaultyHostFaults(random: [.drop, .garbage, .status, .error], probability: 0.2)
      try await withHost(.init(seed: 42, faults: faults)) { host in
        for _ in 1...400 {
          _ = try await ask(host, "/v1/chat/completions", body(message("user", "hi")))
        }
        // A host writes a request's record shortly after the client has received the whole answer.
        let records = try await eventually("all 400 are recorded") {
          host.records.count == 400 ? host.records : nil
        }
        told.append(records.map(\.fault))
      }
    }
    #expect(told[0] == told[1])
    #expect((50...110).contains(told[0].count { $0 != nil }))
    #expect(Set(told[0].compactMap { $0 }).count == 4)
  }

  @Test("it notes when and in which phase a client left, and how far the answer was")
  func cancels() async throws {
    try await withHost(.init(answer: .text("a b c d e f"))) { host in
      let points: [(FaultyHostPoint, Bool, FaultyHostCounts.Cancel.Phase, Int)] = [
        (.beforeFirstToken, true, .beforeFirstToken, 0), (.afterToken(3), true, .midStream, 3),
        (.beforeFirstToken, false, .nonStreaming, 0),
      ]
      for (index, (point, stream, phase, tokens)) in points.enumerated() {
        let gate = host.hold(point)
        let client = Task {
          try await ask(
            host, "/v1/chat/completions", body(message("user", "hi"), stream: stream))
        }
        await gate.reached()
        client.cancel()
        let cancel = try #require(await host.waitForCancels(index + 1).last)
        _ = try? await client.value
        gate.open()
        #expect(cancel.phase == phase && cancel.tokens == tokens && cancel.number == index + 1)
        let record = try #require(host.records.last)
        #expect(record.outcome == .cancelled && record.cancelPhase == phase)
        #expect(record.tokens == tokens && record.ended == cancel.at && record.began < cancel.at)
      }
    }
  }
}
