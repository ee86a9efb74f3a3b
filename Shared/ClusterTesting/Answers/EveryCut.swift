public import ClusterModel
import Foundation
public import InferenceCore

/// Cuts every answer of the corpus at every place and lets another host go on.
public struct EveryCut {
  /// What became of the cuts of one personality.
  public struct Count: CustomStringConvertible {
    public var cuts = 0
    public var identical = 0
    public var rejected = 0
    public var faults: [String] = []

    public var description: String {
      "\(cuts) cuts, \(identical) identical, \(rejected) rejected, \(faults.count) wrong"
    }
  }

  /// What a client put together.
  public struct Received: Equatable, Sendable {
    public var content = ""
    public var reasoning = ""
    public var names: [Int: String] = [:]
    public var ids: [Int: String] = [:]
    public var arguments: [Int: String] = [:]
    public var finish: String?
    public var identities: Set<String> = []
    public var roles = 0

    public init() {}

    public mutating func take(_ chunks: [InferenceChunk]) throws {
      for chunk in chunks {
        let seen = try ClientChunk(chunk.data)
        content += seen.content
        reasoning += seen.reasoning
        for call in seen.calls {
          names[call.index, default: ""] += call.name
          if !call.id.isEmpty { ids[call.index, default: ""] += call.id }
          arguments[call.index, default: ""] += call.arguments
        }
        finish = seen.finish ?? finish
        identities.insert(seen.identity)
        roles += seen.hasRole ? 1 : 0
      }
    }
  }

  public var way = ResumeWay.continueFinalMessage
  /// Of the first KB every `near`-th byte, of the rest every `far`-th; 1 and 1 are all.
  public var near = 1
  public var far = 97
  /// A second cut, so many bytes of text after the first.
  public var second: Int?

  public init(
    way: ResumeWay = .continueFinalMessage, near: Int = 1, far: Int = 97, second: Int? = nil
  ) {
    self.way = way
    self.near = near
    self.far = far
    self.second = second
  }

  public func run(
    _ personality: ResumingPersonality, over answers: [CorpusAnswer] = AnswerCorpus.answers
  ) throws -> Count {
    var count = Count()
    for (number, answer) in answers.enumerated() {
      let first = CorpusHost(1, seed: UInt64(number))
      let events = try first.events(answer).map {
        InferenceChunk(data: $0, facts: try ChunkFacts(parsing: $0))
      }
      var whole = Received()
      try whole.take(events)
      var stream = AnswerStream(shape: AnswerShape())
      var received = Received()
      var said = 0
      for event in events.dropLast() {
        let length = try ClientChunk(event.data).textBytes
        for place in said..<max(said + length, said + 1)
        where (place + number) % (place < 1_024 ? near : far) == 0 {
          // Cut within this event: of its text, the client's side saw nothing or a part.
          var cut = stream
          var client = received
          if length > 0, place > said,
            let part = try ClientChunk(event.data).cut(event, to: place - said)
          {
            try client.take(cut.take(part))
          }
          count.cuts += 1
          try goOn(answer, whole, &cut, &client, personality, place, &count)
        }
        try received.take(stream.take(event))
        said += length
      }
    }
    return count
  }

  private func goOn(
    _ answer: CorpusAnswer, _ whole: Received, _ stream: inout AnswerStream,
    _ client: inout Received, _ personality: ResumingPersonality, _ place: Int, _ count: inout Count
  ) throws {
    let name = "\(answer.name), cut at \(place), \(personality.rawValue)"
    var hop = 0
    while true {
      hop += 1
      let (release, point) = try stream.interrupt()
      try client.take(release)
      stream.resume(way)
      var again = answer
      if !point.prefix.isEmpty {
        guard answer.content.utf8.starts(with: point.prefix) else {
          count.faults.append("\(name): the prefix is not what was said")
          return
        }
        // A prefix is continued; what came before it is not said again.
        again.reasoning = ""
        again.content = ResumingWriter.text(
          full: answer.content, prefix: point.prefix, personality, seed: UInt64(place))
      }
      let events = CorpusHost(
        1 + hop, seed: UInt64(place + 31 * hop), fine: second == nil ? 60 : 260
      ).events(again)
      var heard = 0
      do {
        var isCut = false
        for data in events {
          let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
          try client.take(stream.take(chunk))
          heard += chunk.facts.text.utf8.count + (chunk.facts.deltaJSON?.count ?? 0)
          if let second, hop == 1, heard >= second, chunk.facts.finishReason == nil {
            isCut = true
            break
          }
        }
        if isCut { continue }
        try client.take(stream.finish())
      } catch let error as AttemptFailure {
        count.rejected += 1
        // What the client has must still be the start of the answer.
        if !client.isBeginning(of: whole) {
          count.faults.append("\(name): rejected behind …\(client.content.suffix(60)) (\(error))")
        }
        return
      }
      break
    }
    judge(answer, whole, client, personality, name, &count)
  }

  private func judge(
    _ answer: CorpusAnswer, _ whole: Received, _ client: Received,
    _ personality: ResumingPersonality, _ name: String, _ count: inout Count
  ) {
    var isSame = client.content == whole.content && client.reasoning == whole.reasoning
    isSame = isSame && client.names == whole.names && client.arguments == whole.arguments
    if isSame { count.identical += 1 }
    if client.identities.count != 1 || client.roles != 1 || client.finish != whole.finish
      || client.ids.count != whole.ids.count
    {
      count.faults.append("\(name): not one stream")
    }
    guard !isSame else { return }
    // Another host may break lines otherwise.
    let isSameInk = client.isBeginning(of: whole) && whole.isBeginning(of: client)
    if !isSameInk, let repeated = Self.repeatedWords(client.content, whole.content) {
      count.faults.append(
        "\(name): says again “\(repeated)”, behind …\(client.content.commonPrefix(with: whole.content).suffix(40).debugDescription)"
      )
    } else if answer.isJSON, !Self.isJSON(client.content), Self.isJSON(whole.content) {
      count.faults.append("\(name): is no JSON: …\(client.content.suffix(60))")
    } else if let broken = client.arguments.values.first(where: { !Self.isJSON($0) }) {
      count.faults.append("\(name): is no JSON: …\(broken.suffix(60))")
    } else if personality == .oracle || !isSameInk || client.names != whole.names {
      let common = zip(client.content, whole.content).prefix { $0 == $1 }.count
      count.faults.append(
        "\(name): …\(client.content.dropFirst(max(common - 30, 0)).prefix(100).debugDescription)"
          + " for …\(whole.content.dropFirst(max(common - 30, 0)).prefix(60).debugDescription)")
    }
  }

  private static func isJSON(_ text: String) -> Bool {
    (try? JSONSerialization.jsonObject(with: Data(text.utf8))) != nil
  }

  /// Six words in a row that are said more often than in the uncut answer.
  private static func repeatedWords(_ text: String, _ whole: String) -> String? {
    func runs(_ text: String) -> [ArraySlice<Substring>: Int] {
      let words = text.split(whereSeparator: \.isWhitespace)
      guard words.count >= 6 else { return [:] }
      var runs: [ArraySlice<Substring>: Int] = [:]
      for start in 0...(words.count - 6) { runs[words[start..<(start + 6)], default: 0] += 1 }
      return runs
    }
    let allowed = runs(whole)
    return runs(text).first { $0.value > allowed[$0.key, default: 0] }?.key.joined(separator: " ")
  }
}

extension EveryCut.Received {
  /// White space aside, each of its texts is the start of the other's.
  func isBeginning(of whole: Self) -> Bool {
    func begins(_ text: String, _ whole: String) -> Bool {
      if whole.utf8.starts(with: text.utf8) { return true }
      let ink = text.utf8.filter { $0 > 0x20 }
      return whole.utf8.filter { $0 > 0x20 }.starts(with: ink)
    }
    return begins(content, whole.content) && begins(reasoning, whole.reasoning)
      && arguments.allSatisfy { begins($0.value, whole.arguments[$0.key] ?? "") }
  }
}
