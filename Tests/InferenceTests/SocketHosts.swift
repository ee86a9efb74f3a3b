import AnswerTesting
import ClusterModel
import ClusterTesting
import Foundation
import Inference
import InferenceCore
import Logging
import Testing

/// Some hosts on sockets, and new clients for them.
struct SocketHosts {
  /// The outcome of one request, as its client received it.
  struct Told {
    var received = EveryCut.Received()
    /// Usage from the client's own usage event; `nil` means that none arrived.
    var usage: Usage?
    var summary: InferenceSummary?
    var failure: Failure?

    var hops: Int { (summary?.attempts.count ?? 0) - 1 }
  }

  let hosts: [FaultyHost]
  var ways: [ResumeWay] = []

  static let ids: [HostID] = ["h0", "h1", "h2", "h3", "h4", "h5"]

  /// Hosts with fixed answers, each with its own token boundaries.
  static func knowing(
    _ answers: [CorpusAnswer], ways: [ResumeWay] = [.trailingAssistant, .continueFinalMessage],
    resume: @escaping @Sendable (FaultyHostCorpus.Resumption) -> FaultyHostReply =
      FaultyHostCorpus.oracle
  ) async throws -> SocketHosts {
    var hosts: [FaultyHost] = []
    for (number, way) in ways.enumerated() {
      let replies = answers.map { answer in
        (
          marker(answer),
          FaultyHostReply(
            answer.content, reasoning: answer.reasoning,
            toolCalls: answer.calls.map {
              .init(id: "host-\(number)-\($0.id)", name: $0.name, arguments: $0.arguments)
            })
        )
      }
      hosts.append(
        try await .started(
          FaultyHostConfiguration(
            answer: .corpus(
              FaultyHostCorpus(Dictionary(uniqueKeysWithValues: replies), resume: resume)),
            tokens: .seeded(UInt64(number + 1), longest: 12 - 2 * number),
            prefill: way == .continueFinalMessage
              ? .flag : way == .trailingAssistant ? .trailing : .none,
            seed: UInt64(number))))
    }
    let all = SocketHosts(hosts: hosts, ways: ways)
    // Hosts derive ids from their number of answers, so each host gets a different number.
    for (number, host) in hosts.enumerated() {
      for _ in 0..<number { _ = await all.ask("nothing", require: ids[number], seed: 1) }
      #expect(host.counts.inferences == number)
    }
    return all
  }

  static func marker(_ answer: CorpusAnswer) -> String { "<\(answer.name)>" }

  func stop() async throws {
    for host in hosts { try await host.stop() }
  }

  /// A client without measurements.
  func client(_ limits: InferenceLimits = InferenceLimits()) -> InferenceClient {
    let lines = hosts.enumerated().map { number, host in
      var line = host.host(Self.ids[number])
      if ways.indices.contains(number) { line.resume = ways[number] }
      return line
    }
    return InferenceClient(
      hosts: { HostTable(epoch: 1, revision: 1, hosts: lines) },
      statistics: HostStatistics(seed: 1), inferenceLimits: limits, logger: Logger(label: "test"))
  }

  static func request(
    _ question: String, stream: Bool, _ endpoint: InferenceEndpoint = .chatCompletions,
    extra: String = ""
  ) -> InferenceRequest {
    InferenceRequest(
      endpoint: endpoint, model: "faulty-model",
      body: Array(
        (#"{"model":"faulty-model","stream":\#(stream)\#(extra),"#
          + #""messages":[{"role":"user","content":"\#(question)"}]}"#).utf8), stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)))
  }

  /// Constraints that prefer the first host if there is no race.
  func constraints(
    _ race: RaceMode = .single, interToken: Duration = .seconds(40), rate: Double? = 0.001,
    require: HostID? = nil, seed: UInt64
  ) -> InferenceConstraints {
    InferenceConstraints(
      race: race,
      deadlines: Deadlines(
        firstToken: .seconds(20), interToken: interToken, total: .seconds(100), minimumRate: rate),
      avoid: race == .single ? Array(Self.ids.dropFirst()) : [], require: require, seed: seed)
  }

  /// Sends one request from a new client.
  func ask(
    _ question: String, stream: Bool = true, extra: String = "",
    interToken: Duration = .seconds(40), rate: Double? = 0.001, require: HostID? = nil,
    seed: UInt64
  ) async -> Told {
    let client = client()
    let told = await Self.ask(
      client, Self.request(question, stream: stream, extra: extra),
      constraints(interToken: interToken, rate: rate, require: require, seed: seed))
    try? await client.shutdown()
    return told
  }

  static func ask(
    _ client: InferenceClient, _ request: InferenceRequest, _ constraints: InferenceConstraints
  ) async -> Told {
    var told = Told()
    do {
      for try await event in try await client.infer(request, constraints: constraints) {
        switch event {
        case .chunk(let chunk):
          if let usage = chunk.facts.usage { told.usage = usage }
          // The usage event has no choice.
          guard chunk.data.firstRange(of: Array(#""choices":[]"#.utf8)) == nil else { continue }
          try told.received.take([chunk])
        case .body(let body): try told.received.take(body: body)
        case .resumed: break
        case .finished(let summary): told.summary = summary
        }
      }
    } catch let failure as Failure {
      told.failure = failure
    } catch {
      told.failure = Failure(.internalError, "not what a client can read: \(error)")
    }
    return told
  }
}

extension EveryCut.Received {
  init(_ answer: CorpusAnswer) {
    self.init()
    content = answer.content
    reasoning = answer.reasoning
    finish = answer.finishReason
    for (index, call) in answer.calls.enumerated() {
      names[index] = call.name
      arguments[index] = call.arguments
    }
  }

  /// Reads the body of an unstreamed answer.
  mutating func take(body: [UInt8]) throws {
    guard let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any],
      let choice = (object["choices"] as? [[String: Any]])?.first,
      let message = choice["message"] as? [String: Any], message["role"] as? String == "assistant",
      object["object"] as? String == "chat.completion"
    else { throw ClientChunk.NoChunk() }
    content = message["content"] as? String ?? ""
    reasoning = message["reasoning_content"] as? String ?? ""
    finish = choice["finish_reason"] as? String
    for (index, call) in (message["tool_calls"] as? [[String: Any]] ?? []).enumerated() {
      let function = call["function"] as? [String: Any]
      names[index] = function?["name"] as? String
      arguments[index] = function?["arguments"] as? String
      ids[index] = call["id"] as? String
    }
    identities.insert(
      ["id", "model", "created"].map { "\(object[$0] ?? "-")" }.joined(separator: " "))
    roles += 1
  }

  /// Whether two clients received the same answer.
  func isSame(as other: Self) -> Bool {
    content == other.content && reasoning == other.reasoning && names == other.names
      && arguments == other.arguments && finish == other.finish
  }
}
