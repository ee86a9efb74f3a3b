import AsyncHTTPClient
import ClusterModel
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  /// Runs patterns through the real executables, with scripted models as hosts.
  ///
  /// Each model can do exactly what the tests need, so that the content of the answer is known.
  @Suite(
    "Patterns", .serialized,
    .cluster { try await RunningCluster.start(.faulty(ScriptedModels.three())) })
  struct PatternTests {
    static let patterns = PatternName.allCases.map(\.rawValue)

    /// This question is so long and complex that no gate answers it directly.
    static let question = """
      Please do the following for me, in order. 1. Explain in detail what a tide is and why there \
      are two of them in a day. 2. Describe how a tide mill works and where some still stand. \
      3. Compare the energy that a tide mill gives with that of a wind mill, with the reasons. \
      4. Write a short poem about the sea. Take care that every part is complete.
      """

    #if os(Linux)
      @Test("the threads that work on plans yield the processor to the gateway's")
      func niceValues() async throws {
        let cluster = try RunningCluster.current()
        let answer = try await PatternClient.ask(
          cluster, PatternName.ensemble.rawValue, Self.question, stream: false, #"{"trace":true}"#)
        #expect(answer.status == 200, "\(answer)")
        let children = try await cluster.children()
        let gateway = try #require(children["tutti-gateway"])
        // One thread of the gateway, for work on large bodies, yields the processor to the others.
        let own = try Self.niceValues(of: gateway)
        #expect(own.count { $0 >= 10 } == 1, "\(own)")
        for service in ["planner", "dispatcher", "agent-coordinator"] {
          let process = try #require(children["tutti-\(service)"])
          // Not every thread needs the nice value, because libdispatch's own threads do no work on
          // plans.
          let values = try Self.niceValues(of: process)
          #expect(values.count { $0 >= 10 } > values.count / 2, "\(service): \(values)")
        }
      }

      /// The nice values of a process's threads, from the 19th field of their `stat` files.
      private static func niceValues(of process: pid_t) throws -> [Int] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task").compactMap {
          let stat = try? String(
            contentsOfFile: "/proc/\(process)/task/\($0)/stat", encoding: .utf8)
          let fields = stat?.split(separator: ")").last?.split(separator: " ")
          return fields.flatMap { $0.count > 16 ? Int($0[16]) : nil }
        }
      }
    #endif

    @Test("every pattern answers, streamed and not", arguments: patterns, [true, false])
    func answers(pattern: String, stream: Bool) async throws {
      let cluster = try RunningCluster.current()
      let answer = try await PatternClient.ask(
        cluster, pattern, Self.question, stream: stream, #"{"trace":true,"seed":5}"#)
      #expect(answer.status == 200, "\(answer)")
      #expect(answer.hasText, "\(answer)")
      #expect(answer.finish == "stop", "\(answer)")
      let trace = try #require(answer.trace, "\(answer)")
      #expect(!trace.tasks.isEmpty && !trace.hosts.isEmpty, "\(answer)")
      #expect(trace.tasks.allSatisfy { $0.status == "done" || $0.status == "skipped" }, "\(answer)")
      // Names and separators of the plan must not appear in the answer.
      for word in ["part-1", "draft-1", "review-1", "coordinator", "specialists"] {
        #expect(!answer.text.contains(word), "\(answer)")
      }
    }

    @Test(
      "a stream of a plan begins with the plan, and its progress never runs ahead of the pacer",
      arguments: patterns)
    func progress(pattern: String) async throws {
      let cluster = try RunningCluster.current()
      let answer = try await PatternClient.ask(
        cluster, pattern, Self.question, stream: true, #"{"trace":true}"#)
      let comments = answer.comments.filter { $0.hasPrefix("tutti ") }
      #expect(comments.first?.contains(#""event":"planned""#) == true, "\(answer)")
      let trace = try #require(answer.trace)
      for task in trace.tasks where task.status == "done" {
        #expect(
          comments.contains { $0.contains(#""task":"\#(task.id)""#) }, "\(task.id): \(answer)")
      }
      #expect(trace.firstProgress != nil && trace.firstToken != nil, "\(answer)")
      #expect((trace.firstProgress ?? 0) <= (trace.firstToken ?? 0), "\(answer)")
    }

    @Test("a simple question through tutti/auto is one call, and says why")
    func oneCall() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      let before = hosts.map(\.counts.inferences).reduce(0, +)
      let answer = try await PatternClient.ask(
        cluster, PatternName.auto.rawValue, "Name a colour.", stream: false,
        #"{"trace":true,"race":"single"}"#)
      #expect(hosts.map(\.counts.inferences).reduce(0, +) == before + 1, "\(answer)")
      let trace = try #require(answer.trace)
      #expect(trace.pattern == "direct" && trace.reason?.isEmpty == false, "\(answer)")
    }

    @Test("MAESTRO: what the research found is in the answer, and each role has its own model")
    func plantedEvidence() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      let answer = try await PatternClient.ask(
        cluster, PatternName.maestro.rawValue, ScriptedModels.evidence, stream: true,
        #"{"trace":true}"#)
      #expect(answer.text.contains(ScriptedModels.marker), "\(answer)")
      let trace = try #require(answer.trace)
      #expect(trace.expansions.count >= 2, "\(answer)")
      let roles = Set(trace.tasks.compactMap(\.role))
      #expect(roles.isSuperset(of: ["research", "reasoning", "code", "critic"]), "\(answer)")
      // The trace names the expected models, and the hosts' records contain them.
      let models = Dictionary(
        trace.tasks.compactMap { task in
          task.role.flatMap { role in task.model.map { (role, $0) } }
        }
      ) { first, _ in first }
      #expect(models["code"] == ScriptedModels.coder, "\(answer)")
      #expect(models["reasoning"] == ScriptedModels.reasoner, "\(answer)")
      let seen = Set(hosts.flatMap { $0.records.map(\.model) })
      #expect(seen.isSuperset(of: models.values), "\(seen)")
    }

    @Test("MAESTRO: a wrong sum in a draft is found by the critic and repaired")
    func plantedMistake() async throws {
      let cluster = try RunningCluster.current()
      let answer = try await PatternClient.ask(
        cluster, PatternName.maestro.rawValue, ScriptedModels.sum, stream: false, #"{"trace":true}"#
      )
      #expect(answer.text.contains(ScriptedModels.rightSum), "\(answer)")
      #expect(!answer.text.contains(ScriptedModels.wrongSum), "\(answer)")
      let trace = try #require(answer.trace)
      #expect(trace.tasks.count { $0.role == "critic" } == 2, "\(answer)")
    }

    @Test("MAESTRO: what is only in a document that came with the question is in the answer")
    func documents() async throws {
      let cluster = try RunningCluster.current()
      let answer = try await PatternClient.ask(
        cluster, PatternName.maestro.rawValue, ScriptedModels.evidence, stream: false,
        #"{"trace":true,"documents":[{"name":"notes.md","text":"Notes.\n\nThe secret marker of "#
          + #"the tide mill is PLANTED-DOCUMENT-99.\n"}]}"#)
      #expect(answer.text.contains("PLANTED-DOCUMENT-99"), "\(answer)")
    }

    @Test("MAESTRO without a critic answers, and says that the answer was not reviewed")
    func killedCritic() async throws {
      let cluster = try RunningCluster.current()
      let critic = try #require(try await cluster.children()["tutti-agent-critic"])
      // `tutti up` is paused, because it would restart the critic.
      cluster.process.signal(SIGSTOP)
      defer { cluster.process.signal(SIGCONT) }
      #expect(kill(critic, SIGKILL) == 0)
      let answer = try await PatternClient.ask(
        cluster, PatternName.maestro.rawValue, ScriptedModels.evidence, stream: true,
        #"{"trace":true}"#)
      #expect(answer.status == 200 && answer.text.contains(ScriptedModels.marker), "\(answer)")
      let trace = try #require(answer.trace)
      let reviews = trace.tasks.filter { $0.id.hasPrefix("review-") }
      #expect(!reviews.isEmpty && reviews.allSatisfy { $0.status != "done" }, "\(answer)")
      #expect(reviews.allSatisfy { $0.reason?.contains("critic") == true }, "\(answer)")
      cluster.process.signal(SIGCONT)
      _ = try await eventually("the critic is back") { () -> Bool? in
        let child = try await cluster.children()["tutti-agent-critic"]
        return child != nil && child != critic ? true : nil
      }
    }

    @Test("a plan is shown without running it", arguments: ["text", "mermaid", "graphviz", "json"])
    func preview(format: String) async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      let before = hosts.map(\.counts.inferences).reduce(0, +)
      let shown = try await cluster.tutti(
        "plan", "-m", PatternName.ensemble.rawValue, "--seed", "7", "--format", format,
        Self.question)
      #expect(shown.status == 0 && shown.output.contains("answer"), "\(shown)")
      #expect(shown.output.contains("draft-1"), "\(shown)")
      #expect(hosts.map(\.counts.inferences).reduce(0, +) == before)
      let short = try await cluster.tutti("plan", "--format", format, "Name a colour.")
      #expect(short.status == 0 && short.output.contains("direct"), "\(short)")
      let fast = try await cluster.tutti("plan", "-m", "tutti/fast", "Hello")
      #expect(fast.status == 0 && fast.output.contains("1 call"), "\(fast)")
    }

    @Test("the trace of a plan has every task, its critical path and the phases")
    func trace() async throws {
      let cluster = try RunningCluster.current()
      let answer = try await PatternClient.ask(
        cluster, PatternName.ensemble.rawValue, "Name a colour.", stream: true, #"{"trace":true}"#)
      let id = try #require(answer.trace?.id)
      let shown = try await eventually("the trace \(id) is whole") { () -> Outcome? in
        let shown = try await cluster.tutti("trace", id)
        let isWhole = ["request", "delivery", "accounting", "planning", "execution", "work"]
          .allSatisfy { shown.output.contains($0) }
        return shown.status == 0 && isWhole ? shown : nil
      }
      for word in ["draft-1", "* answer", "the answer waited for it", "answered"] {
        #expect(shown.output.contains(word), "\(word): \(shown)")
      }
    }

    @Test("documents from files are sent with a question, and what is no text is refused")
    func documentFiles() async throws {
      let cluster = try RunningCluster.current()
      let notes = cluster.directory.path + "/notes.txt"
      try "The secret marker of the tide mill is PLANTED-FILE-3.".write(
        toFile: notes, atomically: true, encoding: .utf8)
      let outcome = try await cluster.tutti(
        "ask", "-m", PatternName.maestro.rawValue, "--document", notes, ScriptedModels.evidence)
      #expect(outcome.status == 0 && outcome.output.contains("PLANTED-FILE-3"), "\(outcome)")
      let binary = cluster.directory.path + "/picture.png"
      try Data([0x89, 0x50, 0x00, 0xFF]).write(to: URL(fileURLWithPath: binary))
      let refused = try await cluster.tutti("ask", "--document", binary, "What is this?")
      #expect(refused.status == 64 && refused.errors.contains("picture.png"), "\(refused)")
    }

    @Test("the official openai package gets what it expects of every pattern", arguments: patterns)
    func openai(pattern: String) async throws {
      let cluster = try RunningCluster.current()
      let outcome = try await Programs.script(
        "openai_client.py", ["pattern", cluster.gateway, pattern], in: cluster.directory)
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}

/// Scripted models that answer in JSON on request, report their knowledge, and repeat planted
/// words.
enum ScriptedModels {
  static let general = "general-8b"
  static let coder = "big-coder-7b"
  static let reasoner = "deep-reasoner-7b"
  static let marker = "PLANTED-EVIDENCE-7431"
  static let wrongSum = "17 + 25 = 43"
  static let rightSum = "17 + 25 = 42"

  static let evidence = """
    Research what is known of the tide mill, reason about what follows from it, and write a program \
    that computes its power. Which secret marker does the tide mill have? Name it in the answer.
    """
  static let sum = """
    A mill had 17 sacks of flour and got 25 more sacks. Research what a sack weighs, reason about how \
    many sacks there are now, and write a program that adds them up. Name the sum in the answer.
    """

  @Sendable static func three() async throws -> [FaultyHost] {
    var hosts: [FaultyHost] = []
    for models in [[general], [coder], [reasoner]] {
      hosts.append(
        try await .started(
          FaultyHostConfiguration(
            models: models, answer: .writer { FaultyHostReply(reply(to: $0)) }, dialect: .openai)))
    }
    return hosts
  }

  @Sendable static func reply(to question: FaultyHostQuestion) -> String {
    let all = question.messages.map(\.text).joined(separator: "\n")
    let asked = question.messages.last?.text ?? ""
    if asked.contains(#""specialists""#) { return team }
    if asked.contains(#""verdict""#) { return review(asked) }
    // If the answer is resumed, the prefix already contains everything.
    if case .after = question.start { return "" }
    var found = markers(in: all)
    if asked.contains("FIND-THE-MARKER") { found.append(marker) }
    if asked.contains("ADD-UP") { found.append(wrongSum) }
    if all.contains(rightSum) {
      found.append(rightSum)
    } else if all.contains(wrongSum) {
      found.append(wrongSum)
    }
    let unique = found.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    return unique.isEmpty
      ? "The sea rises and falls twice a day." : "It is known: \(unique.joined(separator: "; "))."
  }

  private static let team = """
    {"specialists":[{"name":"facts","role":"research","brief":"FIND-THE-MARKER of the mill.",\
    "needs":[]},{"name":"count","role":"reasoning","brief":"ADD-UP the sacks.","needs":["facts"]},\
    {"name":"tool","role":"code","brief":"Compute the power.","needs":[]}],\
    "criteria":["the marker","the sum"]}
    """

  private static func review(_ asked: String) -> String {
    guard asked.contains(wrongSum), !asked.contains(rightSum), asked.contains("sacks of flour")
    else {
      return #"{"verdict":"accept","quality":5,"accuracy":5,"coherence":5,"issues":[]}"#
    }
    return #"{"verdict":"repair","quality":3,"accuracy":1,"coherence":4,"issues":["#
      + #"{"kind":"reasoning","issue":"The sum is wrong.","fix":"\#(rightSum)"}]}"#
  }

  /// Planted words anywhere in the text.
  private static func markers(in text: String) -> [String] {
    text.matches(of: /PLANTED-[A-Z]+-[0-9]+/).map { String($0.0) }
  }
}

/// A client of patterns that also reads SSE comments.
enum PatternClient {
  struct Answer: Sendable, CustomStringConvertible {
    var status = 0
    var text = ""
    var finish: String?
    var trace: Trace?
    var comments: [String] = []
    /// Whether `[DONE]` or a complete body was received.
    var isDone = false
    var body = ""

    /// Whether the text contains letters, not only line ends.
    var hasText: Bool { text.contains(where: \.isLetter) }

    var description: String { "status \(status)\n\(body)" }
  }

  struct Trace: Decodable, Sendable {
    struct Task: Decodable, Sendable {
      let id: String
      let role: String?
      let model: String?
      let status: String
      let reason: String?
      let inputs: [String]
      let excerpts: [Excerpt]?
    }
    struct Excerpt: Decodable, Sendable {
      let document: String
      let bytes: Int
      let readBytes: Int
      enum CodingKeys: String, CodingKey {
        case document, bytes
        case readBytes = "read_bytes"
      }
    }
    struct Expansion: Decodable, Sendable { let task: String }
    let id: String
    let pattern: String
    let reason: String?
    let tasks: [Task]
    let hosts: [String]
    let expansions: [Expansion]
    let firstProgress: Int?
    let firstToken: Int?

    enum CodingKeys: String, CodingKey {
      case pattern, reason, tasks, hosts, expansions
      case id = "trace_id"
      case firstProgress = "first_progress_ms"
      case firstToken = "first_token_ms"
    }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      id = try members.decode(String.self, forKey: .id)
      pattern = try members.decode(String.self, forKey: .pattern)
      reason = try members.decodeIfPresent(String.self, forKey: .reason)
      tasks = try members.decode([Task].self, forKey: .tasks)
      hosts = try members.decode([String].self, forKey: .hosts)
      // Direct answers have no expansions.
      expansions = try members.decodeIfPresent([Expansion].self, forKey: .expansions) ?? []
      firstProgress = try members.decodeIfPresent(Int.self, forKey: .firstProgress)
      firstToken = try members.decodeIfPresent(Int.self, forKey: .firstToken)
    }
  }

  private struct Chunk: Decodable {
    struct Choice: Decodable {
      struct Message: Decodable { let content: String? }
      let delta: Message?
      let message: Message?
      let finish: String?
      enum CodingKeys: String, CodingKey {
        case delta, message
        case finish = "finish_reason"
      }
    }
    let choices: [Choice]?
    let tutti: Trace?
  }

  /// - Parameter options: the JSON of the member `tutti`.
  static func ask(
    _ cluster: RunningCluster, _ model: String, _ question: String, stream: Bool,
    _ options: String
  ) async throws -> Answer {
    var request = HTTPClientRequest(url: cluster.gateway + "/v1/chat/completions")
    request.method = .POST
    let quoted = String(decoding: try JSONEncoder().encode(question), as: UTF8.self)
    request.body = .bytes(
      ByteBuffer(
        string: #"{"model":"\#(model)","stream":\#(stream),"tutti":\#(options),"#
          + #""messages":[{"role":"user","content":\#(quoted)}]}"#))
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(240))
    var answer = Answer(status: Int(response.status.code))
    answer.body = String(buffer: try await response.body.collect(upTo: 16 << 20))
    guard stream, answer.status == 200 else {
      answer.isDone = answer.status == 200
      try take(Data(answer.body.utf8), &answer)
      return answer
    }
    for line in answer.body.split(separator: "\n") {
      if line.hasPrefix(": ") {
        answer.comments.append(String(line.dropFirst(2)))
      } else if line == "data: [DONE]" {
        answer.isDone = true
      } else if line.hasPrefix("data: ") {
        try take(Data(line.dropFirst(6).utf8), &answer)
      }
    }
    return answer
  }

  private static func take(_ json: Data, _ answer: inout Answer) throws {
    let chunk = try JSONDecoder().decode(Chunk.self, from: json)
    let choice = chunk.choices?.first
    answer.text += choice?.delta?.content ?? choice?.message?.content ?? ""
    answer.finish = choice?.finish ?? answer.finish
    answer.trace = chunk.tutti ?? answer.trace
  }
}
