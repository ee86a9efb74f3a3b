public import ClusterModel
import InferenceCore

/// Cuts every answer of a corpus at every place and lets another host go on.
public struct EveryCut {
  /// What became of the cuts of one personality.
  public struct Count: CustomStringConvertible, Sendable {
    public var cuts = 0
    /// The client has the uncut answer, byte for byte.
    public var identical = 0
    /// It has the same words, lines and strings; only the amount of white space differs.
    public var spacedOtherwise = 0
    public var rejected: Int { rejections.count }
    /// The first words of the host were unclear, so that it was asked to say again words that the client
    /// has.
    public var askedAgain = 0
    /// Another host would be asked: where, and why.
    public var rejections: [String] = []
    /// The text repeats itself at the cut, and the host that was asked to complete it said what a
    /// host that goes on exactly could have said: nobody can tell from the bytes.
    public var ambiguous = 0
    public var faults: [String] = []

    public init() {}

    public var description: String {
      "\(cuts) cuts, \(identical) identical, \(spacedOtherwise) spaced otherwise, "
        + "\(ambiguous) ambiguous, \(askedAgain) asked again, \(rejected) rejected, "
        + "\(faults.count) wrong"
    }
  }

  public var way: ResumeWay
  /// Of the first KB every `near`-th byte, of the rest every `far`-th; 1 and 1 are all.
  public var near: Int
  public var far: Int
  /// Where the strides begin; every answer begins elsewhere.
  public var phase: Int
  /// A second cut, so many bytes of text after the first.
  public var second: Int?

  public init(
    way: ResumeWay = .continueFinalMessage, near: Int = 1, far: Int = 97, phase: Int = 0,
    second: Int? = nil
  ) {
    self.way = way
    self.near = near
    self.far = far
    self.phase = phase
    self.second = second
  }

  /// A cut where a host with a habit says the very words of the oracle is counted for the oracle
  /// only.
  public func run(
    _ personality: ResumingPersonality, over answers: [CorpusAnswer] = AnswerCorpus.answers
  ) throws -> Count {
    try run([personality], over: answers)[personality] ?? Count()
  }

  /// The same for several, each of which cuts elsewhere, while the uncut answer is said only once.
  public func run(
    _ personalities: [ResumingPersonality], over answers: [CorpusAnswer] = AnswerCorpus.answers
  ) throws -> [ResumingPersonality: Count] {
    var counts: [ResumingPersonality: Count] = [:]
    for (number, answer) in answers.enumerated() {
      let events = try CorpusHost(1, seed: UInt64(number)).events(answer).map {
        InferenceChunk(data: $0, facts: try ChunkFacts(parsing: $0))
      }
      var cut = Case(answer: answer)
      try cut.whole.take(events)
      var stream = AnswerStream(shape: AnswerShape())
      var received = Received()
      var said = 0
      for event in events.dropLast() {
        let told = try ClientChunk(event.data)
        let length = told.textBytes
        for (row, personality) in personalities.enumerated() {
          // What only calls tools is asked for again from its start: habits do not show.
          if personality != .oracle, answer.content.isEmpty { continue }
          for place in said..<max(said + length, said + 1)
          where (place + number + phase + 7 * row) % (place < 1_024 ? near : far) == 0 {
            // Cut within this event: of its text, the client's side saw nothing or a part.
            cut.personality = personality
            cut.stream = stream
            cut.client = received
            cut.place = place
            if place > said, let part = try told.cut(event, to: place - said) {
              try cut.client.take(cut.stream.take(part))
            }
            try goOn(&cut, &counts[personality, default: Count()])
          }
        }
        try received.take(stream.take(event))
        said += length
      }
    }
    return counts
  }

  /// One answer, cut at one place.
  struct Case {
    let answer: CorpusAnswer
    var personality = ResumingPersonality.oracle
    var whole = Received()
    var stream = AnswerStream(shape: AnswerShape())
    var client = Received()
    var place = 0
    /// What the last host was given, and said.
    var prefix: [UInt8] = []
    var said = ""

    var name: String { "\(answer.name), cut at \(place), \(personality.rawValue)" }
    var exchange: String {
      "given …\(String(decoding: prefix.suffix(40), as: UTF8.self).debugDescription), "
        + "it said \(said.prefix(100).debugDescription)"
    }
  }

  private func goOn(_ cut: inout Case, _ count: inout Count) throws {
    var hop = 0
    var isAskedAgain = false
    while true {
      hop += 1
      let (release, point) = try cut.stream.interrupt(anchored: isAskedAgain)
      try cut.client.take(release)
      cut.stream.resume(way)
      cut.prefix = point.prefix
      var again = cut.answer
      if !point.prefix.isEmpty {
        guard again.content.utf8.starts(with: point.prefix) else {
          count.faults.append("\(cut.name): the prefix is not what was said")
          return
        }
        // A prefix is continued; what came before it is not said again.
        again.reasoning = ""
        again.content = ResumingWriter.text(
          full: cut.answer.content, prefix: point.prefix, cut.personality, seed: UInt64(cut.place))
      }
      cut.said = again.content
      if hop == 1 {
        let isHabit =
          again.content.utf8.count + point.prefix.count
          != cut.answer.content.utf8.count
        if cut.personality != .oracle, point.prefix.isEmpty || !isHabit { return }
        count.cuts += 1
      }
      let host = CorpusHost(
        1 + hop, seed: UInt64(cut.place + 31 * hop), fine: second == nil ? 60 : 260)
      do {
        if try !hear(host.events(again), &cut, isFirst: hop == 1) { continue }
        try cut.client.take(cut.stream.finish())
      } catch let error as AttemptFailure {
        // Asked once more, to say again words that the client has.
        if !isAskedAgain, cut.client.isBeginning(of: cut.whole) {
          isAskedAgain = true
          count.askedAgain += 1
          continue
        }
        count.rejections.append("\(cut.name): \(error.message), \(cut.exchange)")
        // What the client has must still be the start of the answer.
        if !cut.client.isBeginning(of: cut.whole) {
          count.faults.append(
            "\(cut.name): rejected behind …\(cut.client.content.suffix(60)) (\(error.message)), "
              + cut.exchange)
        }
        return
      }
      break
    }
    judge(cut, &count)
  }

  /// - Returns: false when it was cut a second time.
  private func hear(_ events: [[UInt8]], _ cut: inout Case, isFirst: Bool) throws -> Bool {
    var heard = 0
    for data in events {
      let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
      try cut.client.take(cut.stream.take(chunk))
      heard += chunk.facts.text.utf8.count + (chunk.facts.deltaJSON?.count ?? 0)
      if let second, isFirst, heard >= second, chunk.facts.finishReason == nil { return false }
    }
    return true
  }

  /// All hosts give the same answer, so that only one text is right.
  private func judge(_ cut: Case, _ count: inout Count) {
    let (client, whole) = (cut.client, cut.whole)
    if client.identities.count != 1 || client.roles != 1 || client.finish != whole.finish
      || client.names != whole.names || client.ids.count != whole.ids.count
    {
      count.faults.append("\(cut.name): not one stream")
    } else if client.hasSameBytes(as: whole) {
      count.identical += 1
    } else if cut.personality != .oracle, client.isSpacedOtherwise(than: whole) {
      count.spacedOtherwise += 1
    } else if isAmbiguous(cut) {
      count.ambiguous += 1
    } else {
      let common = zip(client.content.utf8, whole.content.utf8).prefix { $0 == $1 }.count
      func there(_ text: String, _ length: Int) -> String {
        String(decoding: text.utf8.dropFirst(max(common - 40, 0)).prefix(length), as: UTF8.self)
          .debugDescription
      }
      count.faults.append(
        "\(cut.name): …\(there(client.content, 120)) for …\(there(whole.content, 80)), "
          + cut.exchange)
    }
  }

  /// Only in an answer that was made to repeat itself, only of a host that was asked to complete it,
  /// and only when the client has just the bytes that it would have from a host that goes on exactly
  /// and said these words.
  private func isAmbiguous(_ cut: Case) -> Bool {
    cut.answer.repeatsItself && way != .instruct && cut.personality != .oracle
      && cut.client.content.utf8.elementsEqual(cut.prefix + cut.said.utf8)
  }
}
