public import ClusterModel
import InferenceCore

/// Cuts every answer of a corpus at many positions and lets another host resume it.
public struct EveryCut {
  /// Outcomes of the cuts of one personality.
  public struct Count: CustomStringConvertible, Sendable {
    public var cuts = 0
    /// Cuts after which the client's answer equals the uncut answer byte for byte.
    public var identical = 0
    /// Cuts after which the client has the same words, lines and strings, but other white space.
    public var spacedOtherwise = 0
    public var rejected: Int { rejections.count }
    /// Resumptions that did not align at the first try. The host was then asked to repeat words
    /// that the client already has.
    public var askedAgain = 0
    /// Rejected resumptions, which would fail over to another host: position and reason.
    public var rejections: [String] = []
    /// Answers that differ from the uncut answer although the host may have continued exactly.
    ///
    /// The text repeats itself at the cut. A host that repeats words and a host that continues
    /// exactly then send the same bytes.
    public var ambiguous = 0
    public var faults: [String] = []

    public var description: String {
      "\(cuts) cuts, \(identical) identical, \(spacedOtherwise) spaced otherwise, "
        + "\(ambiguous) ambiguous, \(askedAgain) asked again, \(rejected) rejected, "
        + "\(faults.count) wrong"
    }
  }

  public var way: ResumeWay
  /// Distance in bytes between cuts within the first KB; 1 cuts at every byte.
  public var near: Int
  /// Distance in bytes between cuts after the first KB.
  public var far: Int
  /// Moves all cuts by this many bytes. Each answer adds an offset of its own.
  public var phase: Int
  /// Minimum bytes that the second host sends before its stream is cut, too. `nil` means no second
  /// cut.
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

  /// Cuts the answers for one personality.
  ///
  /// If the personality continues a cut exactly as the oracle does, only the oracle counts the cut.
  public func run(
    _ personality: ResumingPersonality, over answers: [CorpusAnswer] = AnswerCorpus.answers
  ) throws -> Count {
    try run([personality], over: answers)[personality] ?? Count()
  }

  /// Cuts the answers for several personalities at different positions, streaming each uncut answer
  /// only once.
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
          // An answer with only tool calls is requested again from its start, so all personalities
          // behave like the oracle.
          if personality != .oracle, answer.content.isEmpty { continue }
          for place in said..<max(said + length, said + 1)
          where (place + number + phase + 7 * row) % (place < 1_024 ? near : far) == 0 {
            // The cut lies in this event, so the client received nothing or a part of its text.
            cut.personality = personality
            cut.stream = stream
            cut.client = received
            cut.place = place
            if place > said, let part = try told.cut(event, to: place - said) {
              try cut.client.take(cut.stream.take(part))
            }
            try resume(&cut, &counts[personality, default: Count()])
          }
        }
        try received.take(stream.take(event))
        said += length
      }
    }
    return counts
  }

  /// One answer, cut at one position.
  struct Case {
    let answer: CorpusAnswer
    var personality = ResumingPersonality.oracle
    var whole = Received()
    var stream = AnswerStream(shape: AnswerShape())
    var client = Received()
    var place = 0
    /// The prefix that the last host received, and its output.
    var prefix: [UInt8] = []
    var said = ""

    var name: String { "\(answer.name), cut at \(place), \(personality.rawValue)" }
    var exchange: String {
      "given …\(String(decoding: prefix.suffix(40), as: UTF8.self).debugDescription), "
        + "it said \(said.prefix(100).debugDescription)"
    }
  }

  private func resume(_ cut: inout Case, _ count: inout Count) throws {
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
        // The host continues the prefix, so it does not send the reasoning again.
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
        if try !receive(host.events(again), &cut, isFirst: hop == 1) { continue }
        try cut.client.take(cut.stream.finish())
      } catch let error as AttemptFailure {
        // Retry once; the host then repeats words that the client has.
        if !isAskedAgain, cut.client.isBeginning(of: cut.whole) {
          isAskedAgain = true
          count.askedAgain += 1
          continue
        }
        count.rejections.append("\(cut.name): \(error.message), \(cut.exchange)")
        // The client's text must still be a prefix of the answer.
        if !cut.client.isBeginning(of: cut.whole) {
          count.faults.append(
            "\(cut.name): rejected after …\(cut.client.content.suffix(60)) (\(error.message)), "
              + cut.exchange)
        }
        return
      }
      break
    }
    judge(cut, &count)
  }

  /// - Returns: false if the stream was cut a second time.
  private func receive(_ events: [[UInt8]], _ cut: inout Case, isFirst: Bool) throws -> Bool {
    var heard = 0
    for data in events {
      let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
      try cut.client.take(cut.stream.take(chunk))
      heard += chunk.facts.text.utf8.count + (chunk.facts.deltaJSON?.count ?? 0)
      if let second, isFirst, heard >= second, chunk.facts.finishReason == nil { return false }
    }
    return true
  }

  /// Checks the final answer. All hosts give the same answer, so only one text is correct.
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

  /// Whether the client's bytes could also come from a host that continued exactly.
  ///
  /// This holds only for an answer that repeats itself on purpose and a host that was given a
  /// prefix to complete.
  private func isAmbiguous(_ cut: Case) -> Bool {
    cut.answer.repeatsItself && way != .instruct && cut.personality != .oracle
      && cut.client.content.utf8.elementsEqual(cut.prefix + cut.said.utf8)
  }
}
