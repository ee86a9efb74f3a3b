import AsyncHTTPClient
import ClusterModel
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  /// Kills real model servers mid-answer. `TUTTI_TEST_KILLS=20` sets the number of kills.
  @Suite(
    "Answers that outlive their host", .serialized, .timeLimit(.minutes(20)),
    .cluster { try await RunningCluster.start(.embedded) })
  struct ContinuationTests {
    private static let kills =
      ProcessInfo.processInfo.environment["TUTTI_TEST_KILLS"].flatMap { Int($0) } ?? 4
    private static let subjects = [
      "a lighthouse keeper and a storm", "a fox that learns to read", "the history of bread",
      "how a river shapes a valley", "a clockmaker who loses her watch",
      "the planets of the solar system", "a train that runs through the night",
      "growing tomatoes on a balcony", "a dragon who is afraid of fire",
      "why the sky is blue and sunsets are red",
    ]

    @Test("a model server is killed or stopped in mid-answer: the other one finishes the answer")
    func killed() async throws {
      let cluster = try RunningCluster.current()
      var rng = SplitMix64(seed: 3)
      var identical = 0
      var report: [String] = []
      for round in 0..<Self.kills {
        let subject = Self.subjects[round % Self.subjects.count]
        let question =
          round < Self.subjects.count
          ? "Write a long text about \(subject)." : "Tell me a long story about \(subject)."
        let uncut = try await StreamedAnswer.ask(cluster, question)
        #expect(uncut.isWhole, "\(uncut)")
        let before = try await ModelServers(cluster)
        // Every fourth victim is paused instead of killed, which only a deadline can detect.
        let stops = round % 4 == 3
        let point = Int.random(in: 4..<max(uncut.chunks * 4 / 5, 5), using: &rng)
        var victim: pid_t?
        var place = 0
        let answer = try await StreamedAnswer.ask(
          cluster, question, interTokenMilliseconds: stops ? 2_000 : nil
        ) { sofar in
          guard sofar.chunks == point, victim == nil else { return }
          victim = before.busiest()
          place = sofar.text.count
          if let victim { kill(victim, stops ? SIGSTOP : SIGKILL) }
        }
        let pid = try #require(victim, "the answer was over before token \(point): \(answer)")
        let sentence = "round \(round), cut at character \(place): \(answer)"
        #expect(answer.isWhole, "\(sentence)")
        #expect(answer.ids.count == 1 && answer.models.count == 1, "\(sentence)")
        let repeated = answer.repetitions(at: place, not: uncut.text)
        #expect(repeated.isEmpty, "\(repeated) in \(sentence)\nuncut: \(uncut.text)")
        if answer.text == uncut.text { identical += 1 }
        report.append(
          "\(stops ? "stopped" : "killed") after \(point) of \(uncut.chunks) tokens: "
            + (answer.text == uncut.text
              ? "identical"
              : "equal for \(zip(answer.text, uncut.text).prefix { $0 == $1 }.count) of "
                + "\(uncut.text.count) characters, cut at \(place)"))
        if stops {
          kill(pid, SIGCONT)
        } else {
          try await before.restarted(pid)
        }
      }
      print(
        "\(Self.kills) kills, \(identical) answers identical\n" + report.joined(separator: "\n"))
    }
  }
}

/// The part of a stream that a client has received.
private struct StreamedAnswer: CustomStringConvertible {
  private struct Chunk: Decodable {
    struct Choice: Decodable {
      struct Delta: Decodable { var content: String? }
      var delta: Delta
      var finishReason: String?
      enum CodingKeys: String, CodingKey {
        case delta
        case finishReason = "finish_reason"
      }
    }
    var id: String
    var model: String
    var choices: [Choice]
  }

  var text = ""
  var chunks = 0
  var ids: Set<String> = []
  var models: Set<String> = []
  var finish: String?
  var isDone = false
  /// Events that are not chunks, such as errors.
  var others: [String] = []

  var isWhole: Bool { isDone && finish != nil && others.isEmpty }

  var description: String {
    "\(finish ?? "no finish"), done \(isDone), \(ids), \(models), \(others): \(text)"
  }

  /// - Parameter heard: called after every chunk with text.
  static func ask(
    _ cluster: RunningCluster, _ question: String, interTokenMilliseconds: Int? = nil,
    _ heard: (StreamedAnswer) -> Void = { _ in }
  ) async throws -> StreamedAnswer {
    let deadline = interTokenMilliseconds.map { #","deadlines_ms":{"inter_token":\#($0)}"# } ?? ""
    var request = HTTPClientRequest(url: cluster.gateway + "/v1/chat/completions")
    request.method = .POST
    request.body = .bytes(
      ByteBuffer(
        string: #"{"model":"\#(ProcessTests.LocalModelTests.model)","stream":true,"#
          + #""temperature":0,"seed":1,"max_tokens":100,"tutti":{"race":"single"\#(deadline)},"#
          + #""messages":[{"role":"user","content":"\#(question)"}]}"#))
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(300))
    var answer = StreamedAnswer()
    var line: [UInt8] = []
    for try await buffer in response.body {
      for byte in buffer.readableBytesView {
        guard byte == 0x0A else {
          line.append(byte)
          continue
        }
        if try answer.take(String(decoding: line, as: UTF8.self)) { heard(answer) }
        line = []
      }
    }
    return answer
  }

  /// - Returns: whether the line contained text.
  private mutating func take(_ line: String) throws -> Bool {
    guard line.hasPrefix("data: ") else { return false }
    let data = line.dropFirst(6)
    if data == "[DONE]" {
      isDone = true
      return false
    }
    guard let chunk = try? JSONDecoder().decode(Chunk.self, from: Data(data.utf8)) else {
      others.append(String(data))
      return false
    }
    ids.insert(chunk.id)
    models.insert(chunk.model)
    finish = chunk.choices.first?.finishReason ?? finish
    guard let more = chunk.choices.first?.delta.content, !more.isEmpty else { return false }
    text += more
    chunks += 1
    return true
  }

  /// Returns the six-word sequences that occur on both sides of a position.
  /// A sequence counts only if it is more frequent than in the uncut answer.
  func repetitions(at place: Int, not uncut: String) -> [String] {
    let before = Self.grams(text.prefix(place).split(whereSeparator: \.isWhitespace).suffix(60))
    let joint = text.prefix(place).split(whereSeparator: \.isWhitespace).count
    let words = text.split(whereSeparator: \.isWhitespace)
    // A repetition caused by the joint begins at the joint. A small model may also repeat itself
    // some sentences later, which is not the joint's fault.
    let after = Self.grams(words[max(joint - 6, 0)...].prefix(20))
    let all = Self.grams(words[...])
    let usual = Self.grams(uncut.split(whereSeparator: \.isWhitespace)[...])
    return Set(before).intersection(after).filter { gram in
      all.count { $0 == gram } > max(1, usual.count { $0 == gram })
    }
  }

  private static func grams(_ words: ArraySlice<Substring>) -> [String] {
    guard words.count >= 6 else { return [] }
    return (words.startIndex...words.endIndex - 6).map {
      words[$0..<$0 + 6].joined(separator: " ")
    }
  }
}

/// The embedded model servers of a cluster, and their processor time at one moment.
private struct ModelServers {
  private let cluster: RunningCluster
  /// Process ids by `embedded_host:PORT`.
  private let pids: [String: pid_t]
  private let work: [pid_t: Int]

  init(_ cluster: RunningCluster) async throws {
    self.cluster = cluster
    pids = try await cluster.children().filter { $0.key.hasPrefix("embedded_host:") }
    #expect(pids.count == 2, "\(pids)")
    work = Dictionary(uniqueKeysWithValues: pids.values.map { ($0, Self.ticks($0)) })
  }

  /// The server that is answering. It has used the most processor time since `init`.
  func busiest() -> pid_t? {
    let since = pids.values.map { (pid: $0, work: Self.ticks($0) - work[$0, default: 0]) }
    return since.max { $0.work < $1.work }?.pid
  }

  private static func ticks(_ pid: pid_t) -> Int {
    let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    // The process name may contain spaces, so the fields after it are split. `fields[1]` is the
    // third field of the file.
    let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
    guard fields.count > 13 else { return 0 }
    return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
  }

  /// Waits until the killed server runs again, answers, and is in the host table.
  func restarted(_ pid: pid_t) async throws {
    let name = try #require(pids.first { $0.value == pid }?.key)
    _ = try await eventually("\(name) runs again") { () -> Bool? in
      let now = try await cluster.children()[name]
      return now != nil && now != pid ? true : nil
    }
    let port = name.split(separator: ":")[1]
    let model = ProcessTests.LocalModelTests.model
    _ = try await eventually("\(name) answers again") { () -> Bool? in
      var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/v1/chat/completions")
      request.method = .POST
      request.body = .bytes(
        ByteBuffer(
          string: #"{"model":"\#(model)","max_tokens":1,"#
            + #""messages":[{"role":"user","content":"Hello"}]}"#))
      let response = try? await HTTPClient.shared.execute(request, timeout: .seconds(60))
      return response?.status == .ok ? true : nil
    }
    _ = try await eventually("\(name) is ready for the registry") { () -> Bool? in
      let list = try await cluster.tutti("hosts", "list")
      let lines = list.output.split(separator: "\n").filter { $0.contains(":\(port) ") }
      return lines.contains { $0.contains(" ready ") } ? true : nil
    }
  }
}
