public import ClusterModel
public import Limits
import Text

/// Maximum bytes that a host may send.
public struct UpstreamLimits: Hashable, Sendable {
  public var eventBytes = Limits.eventBytes.value
  public var bodyBytes = Limits.answerBodyBytes.value
  public var streamBytes = Limits.streamBytes.value
  public var errorBytes = Limits.errorBytes.value

  public init() {}
}

/// One item read from a host's response.
public enum UpstreamItem: Hashable, Sendable {
  case chunk(InferenceChunk)
  /// The host marked the end of its answer, for example by `data: [DONE]`.
  case done
  case body([UInt8], ChunkFacts)
  case broken(AttemptFailure)
  /// The response is complete.
  case end
}

/// Parses the bytes of one response into items, no matter how the network splits the bytes.
///
/// Streams of all dialects become chunks in OpenAI's dialect. A chunk that arrives in OpenAI's
/// dialect keeps its bytes, unless it is repaired or the client uses an alias of the model.
///
/// The caller passes the bytes in pieces. A call of `append(_:)` with at most 16 KiB takes a few
/// milliseconds at most, unless `pendingBytes` is large. The call that completes an event or a body
/// parses all pending bytes. Such a call can run off the event loop, because the reader is a
/// `Sendable` value. Take the reader out of its place, call it, and put it back before the next
/// bytes.
///
/// All cost is charged to `allowance`: memory by the capacity of the buffers, work by each pass
/// over bytes. If a host exceeds the allowance, its response ends with `broken`.
public struct UpstreamReader: Sendable {
  private enum Mode {
    /// OpenAI's server-sent events, unless the answer turns out to be one JSON body.
    case events
    /// The host does not support streams and sends its whole answer as one JSON body.
    case wholeAnswer
    case anthropic
    case ollama
    /// No stream was requested, as for embeddings.
    case body
    /// The status is not 2xx. The body reports the cause.
    case error(status: Int, retryAfter: Duration?)
  }

  private let reading: UpstreamReading
  private let limits: UpstreamLimits
  private var mode: Mode
  // Both readers are stored outside `mode`. A payload of `mode` would be copied when it is taken
  // out and changed.
  private var anthropic: AnthropicReader
  private var ollama: OllamaReader
  private var events: SSESplitter
  private var lines: NDJSONSplitter
  private var collected: [UInt8] = []
  private var hasBegun = false
  private var isBroken = false
  /// Whether `UpstreamItem.done` was read. The rest of the response is then not read.
  private var isDone = false
  private var splitterWork = 0
  private var bufferBytes = 0
  private var news = ChunkNews()
  private var terms: ChunkTerms
  /// Text that the host sent outside of chunks. If the stream ends before its answer, this text is
  /// reported as the cause.
  private var words = ""
  /// Whether a choice has ended with a `finish_reason`.
  private var hasEnd = false
  private var otherSigns = 0
  /// Number of skipped events, and of repaired events and bodies.
  public private(set) var oddEvents = 0
  /// Memory and work that the host has cost so far.
  public private(set) var allowance = Allowance(memory: Limits.readerBytes)

  public init(
    _ reading: UpstreamReading, status: Int, retryAfter: Duration? = nil,
    limits: UpstreamLimits = UpstreamLimits()
  ) {
    self.reading = reading
    self.limits = limits
    terms = ChunkTerms(choices: reading.choices, endpoint: reading.endpoint)
    events = SSESplitter(
      maximumEventBytes: limits.eventBytes, maximumStrayBytes: Limits.strayBytes.value)
    lines = NDJSONSplitter(maximumLineBytes: limits.eventBytes)
    anthropic = AnthropicReader(reading)
    ollama = OllamaReader(reading)
    if !(200..<300).contains(status) {
      mode = .error(status: status, retryAfter: retryAfter)
    } else if !reading.streams {
      mode = .body
    } else {
      switch reading.dialect {
      case .openai: mode = .events
      case .anthropic: mode = .anthropic
      case .ollama: mode = .ollama
      }
    }
  }

  /// Creates a reader for a host of OpenAI's dialect.
  public init(
    endpoint: InferenceEndpoint, streams: Bool, status: Int, retryAfter: Duration? = nil,
    limits: UpstreamLimits = UpstreamLimits()
  ) {
    self.init(
      UpstreamReading(endpoint: endpoint, streams: streams), status: status,
      retryAfter: retryAfter, limits: limits)
  }

  /// Bytes that the next call of `append(_:)` or `end()` may have to parse in addition to its
  /// argument. They belong to an incomplete event, or to a body that is parsed at its end.
  public var pendingBytes: Int {
    switch mode {
    case .events, .anthropic: events.pendingBytes
    case .ollama: lines.pendingBytes
    case .wholeAnswer, .body, .error: collected.count
    }
  }

  /// Number of comments, pings and other events without content so far. They show that the host is
  /// alive.
  public var signs: Int { events.comments + otherSigns }

  /// Parses more bytes. Returns no items after `broken` or `done`.
  public mutating func append(_ bytes: some Collection<UInt8>) -> [UpstreamItem] {
    named(append(piece: Array(bytes)))
  }

  /// The items with the client's name of the model.
  private mutating func named(_ items: [UpstreamItem]) -> [UpstreamItem] {
    guard reading.isAlias, !items.isEmpty else { return items }
    do throws(AttemptFailure) {
      for item in items {
        switch item {
        case .chunk(let chunk): try allowance.charge(2 * chunk.data.count)
        case .body(let body, _): try allowance.charge(2 * body.count)
        case .done, .broken, .end: break
        }
      }
    } catch {
      return broken(error)
    }
    return AliasedAnswer.renamed(items, to: reading.model)
  }

  /// The parameter is an array and not generic, so that the iteration makes no call for each byte.
  private mutating func append(piece bytes: [UInt8]) -> [UpstreamItem] {
    guard !isBroken, !isDone else { return [] }
    allowance.receive(bytes.count)
    if !hasBegun { begin(bytes) }
    do throws(AttemptFailure) {
      switch mode {
      case .error:
        collected += bytes.prefix(limits.errorBytes - collected.count)
        return collected.count == limits.errorBytes ? wholeEnd() : []
      case .body, .wholeAnswer:
        let limit = bodyLimit
        guard allowance.received <= limit.bytes else {
          throw AttemptFailure(
            .tooLarge, "its answer is larger than \(limit.bytes) bytes (limit \(limit.name))")
        }
        collected.makeRoom(for: bytes.count, limit: limits.bodyBytes)
        collected += bytes
        try chargeBuffers()
        return []
      case .events, .anthropic, .ollama:
        guard allowance.received <= limits.streamBytes else {
          throw AttemptFailure(
            .tooLarge,
            "its stream is larger than \(limits.streamBytes) bytes "
              + "(limit \(Limits.streamBytes.name))")
        }
        return try appendToStream(bytes)
      }
    } catch {
      return broken(error)
    }
  }

  /// Detects a body in place of a stream, and a stream in place of a body.
  ///
  /// The first byte decides, apart from white space and a byte order mark.
  private mutating func begin(_ bytes: [UInt8]) {
    guard let first = bytes.first(where: { $0 > 0x20 && !Self.orderMark.contains($0) }) else {
      return
    }
    hasBegun = true
    switch mode {
    case .events:
      // No field of an event stream begins with a brace, so this is a body.
      if first == UInt8(ascii: "{") { mode = .wholeAnswer }
    case .body:
      guard Self.eventStarts.contains(first), reading.dialect.mayStreamUnasked,
        reading.endpoint != .embeddings, collected.isEmpty
      else { return }
      mode = .events
    case .wholeAnswer, .anthropic, .ollama, .error: break
    }
  }

  /// First bytes of `data:`, of `event:` and of a comment.
  private static let eventStarts: [UInt8] = Array("de:".utf8)

  private static let orderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private var bodyLimit: (bytes: Int, name: String) {
    if case .wholeAnswer = mode {
      return (min(limits.bodyBytes, Limits.wholeAnswerBytes.value), Limits.wholeAnswerBytes.name)
    }
    if let vectors = reading.vectors {
      let bytes = Limits.vectorBytes.value.multipliedCapped(by: vectors)
      if bytes < limits.bodyBytes { return (bytes, Limits.vectorBytes.name) }
    }
    return (limits.bodyBytes, Limits.answerBodyBytes.name)
  }

  private mutating func appendToStream(
    _ bytes: [UInt8]
  ) throws(AttemptFailure) -> [UpstreamItem] {
    var items: [UpstreamItem] = []
    switch mode {
    case .ollama:
      let whole: [[UInt8]]
      do {
        whole = try lines.append(bytes)
      } catch {
        throw tooLarge("line")
      }
      try chargeBuffers()
      for line in whole where !isBroken && !isDone { read(line, name: nil, &items) }
    case .events, .wholeAnswer, .anthropic, .body, .error:
      let whole: [SSEEvent]
      do {
        whole = try events.append(bytes)
      } catch {
        throw tooLarge("event")
      }
      try chargeBuffers()
      for event in whole where !isBroken && !isDone { read(event.data, name: event.name, &items) }
    }
    return items
  }

  /// Reads a line that begins like an object and belongs to no event. If the line reports an error,
  /// the stream ends.
  private mutating func readStray(_ line: [UInt8]) throws(AttemptFailure) {
    try allowance.charge(2 * line.count)
    guard let document = try? JSONDocument(validating: line),
      let error = document.value("error", in: document.root), HostTrouble.isSet(error, document)
    else { return }
    throw .errorEvent(UpstreamWords.message(of: error, in: document), in: line)
  }

  private func tooLarge(_ what: String) -> AttemptFailure {
    AttemptFailure(
      .tooLarge,
      "one \(what) of its stream is larger than \(limits.eventBytes) bytes "
        + "(limit \(Limits.eventBytes.name))")
  }

  private mutating func chargeBuffers() throws(AttemptFailure) {
    let work = events.work + lines.work
    try allowance.charge(work - splitterWork)
    splitterWork = work
    let buffers = events.bufferBytes + lines.bufferBytes + collected.capacity
    try allowance.charge(buffer: buffers - bufferBytes)
    bufferBytes = buffers
  }

  /// Handles the end of the response.
  public mutating func end() -> [UpstreamItem] { named(wholeEnd()) }

  private mutating func wholeEnd() -> [UpstreamItem] {
    guard !isBroken else { return [] }
    do throws(AttemptFailure) {
      switch mode {
      case .events: return try endOfEvents()
      case .anthropic: return (isDone ? [] : try anthropic.end(&allowance)) + [.end]
      case .ollama:
        var items: [UpstreamItem] = []
        if !isDone, let line = lines.end() { read(line, name: nil, &items) }
        return isBroken ? items : items + [.end]
      case .error(let status, let retryAfter):
        throw Self.failure(status: status, retryAfter: retryAfter, body: collected)
      case .body: return [try wholeBody(), .end]
      case .wholeAnswer:
        let data = try CompleteBody.chunk(of: taken(), reading, &allowance)
        try allowance.charge(buffer: data.capacity)
        let chunk = try InferenceChunk(data, reading, &terms, &allowance)
        guard chunk.facts.hasChoices else { throw Self.noAnswer(data) }
        return [.chunk(chunk), .done, .end]
      }
    } catch {
      return broken(error)
    }
  }

  private mutating func endOfEvents() throws(AttemptFailure) -> [UpstreamItem] {
    guard !isDone else { return [.end] }
    var items: [UpstreamItem] = []
    // The empty line after the last event may be missing. If the event is incomplete too, the
    // stream was cut, and the event is dropped.
    if let event = events.end() {
      var copy = self
      copy.read(event.data, name: event.name, &items)
      if case .broken(let failure)? = items.last, failure.kind == .garbage {
        items = []
      } else {
        self = copy
      }
    }
    guard !isBroken else { return items }
    if let failure = wordsAtEnd { throw failure }
    return items + [.end]
  }

  /// The failure of a stream that ended before its answer. The host's own text is the cause. `nil`
  /// means that the answer has ended, or that there is no such text.
  private var wordsAtEnd: AttemptFailure? {
    guard !isDone, !hasEnd else { return nil }
    let words = words.isEmpty ? UpstreamWords.message(ofBody: events.stray) : words
    guard !words.isEmpty else { return nil }
    return AttemptFailure(.errorEvent, "its stream ended before its answer: \(words)")
  }

  /// Handles a connection that was lost before the response was complete.
  ///
  /// An error response is reported with the part of its body that arrived. A JSON body counts as an
  /// answer only if it is complete.
  public mutating func cutShort() -> [UpstreamItem] {
    guard !isBroken else { return [] }
    switch mode {
    case .error: return end()
    case .body, .wholeAnswer:
      let isJSON = collected.first(where: { $0 > 0x20 }) == UInt8(ascii: "{")
      if isJSON {
        guard collected.last(where: { $0 > 0x20 }) == UInt8(ascii: "}"),
          (try? allowance.charge(collected.count)) != nil,
          (try? JSONDocument(validating: collected)) != nil
        else { return [] }
      }
      return collected.isEmpty ? [] : end()
    case .events: return wordsAtEnd.map { broken($0) } ?? []
    case .anthropic, .ollama: return []
    }
  }

  private mutating func read(_ data: [UInt8], name: String?, _ items: inout [UpstreamItem]) {
    do throws(AttemptFailure) {
      if name == SSESplitter.strayName { return try readStray(data) }
      switch OddEvent(data, name: namesEvents ? name : nil) {
      case nil: try readObject(data, &items)
      case .done: items.append(.done)
      case .silence:
        otherSigns += 1
        try skip(data)
      case .words:
        words = UpstreamWords.message(ofBody: data)
        try skip(data)
      case .failure: throw .errorEvent(UpstreamWords.message(ofBody: data), in: data)
      case .garbage: _ = try ChunkFacts.document(data)
      }
      if case .done? = items.last { isDone = true }
    } catch {
      items += broken(error)
    }
  }

  /// Whether the name of an event has a meaning. Anthropic's events carry their type in the data.
  private var namesEvents: Bool {
    switch mode {
    case .anthropic: false
    case .events, .wholeAnswer, .ollama, .body, .error: true
    }
  }

  /// Skips an event without content. The host pays for its bytes, and the number of such events is
  /// limited.
  private mutating func skip(_ data: [UInt8]) throws(AttemptFailure) {
    oddEvents += 1
    try allowance.charge(data.count)
    try news.countSkipped()
  }

  private mutating func readObject(
    _ data: [UInt8], _ items: inout [UpstreamItem]
  ) throws(AttemptFailure) {
    try allowance.charge(Limits.eventWork.value)
    let before = items.count
    do throws(AttemptFailure) {
      try readValid(data, &items)
    } catch {
      // Some hosts split a character between two events. Such data is not UTF-8 and was not parsed
      // at all, so it can be repaired and parsed again.
      guard error.kind == .garbage else { throw error }
      let invalid = UTF8Bytes.invalidBytes(in: data)
      guard invalid > 0 else { throw error }
      guard invalid <= max(Limits.invalidBytes.value, data.count / Limits.invalidBytes.value) else {
        throw AttemptFailure(
          .garbage,
          "\(invalid) of \(counted(data.count, "byte")) of an event are not UTF-8 "
            + "(limit \(Limits.invalidBytes.name))")
      }
      try allowance.charge(2 * data.count)
      oddEvents += 1
      try readValid(Array(String(decoding: data, as: UTF8.self).utf8), &items)
    }
    if items.count == before { otherSigns += 1 }
  }

  private mutating func readValid(
    _ data: [UInt8], _ items: inout [UpstreamItem]
  ) throws(AttemptFailure) {
    switch mode {
    case .anthropic: items += try anthropic.read(data, &allowance)
    case .ollama: items += try ollama.read(data, &allowance)
    case .events, .wholeAnswer, .body, .error:
      let chunk = try InferenceChunk(data, reading, &terms, &allowance)
      hasEnd = hasEnd || chunk.facts.finishedChoices > 0
      if let remark = terms.words.take() {
        words = remark
        return try skip(data)
      }
      if try news.shouldPassOn(chunk.facts, choices: reading.choices) {
        items.append(.chunk(chunk))
      }
    }
  }

  private mutating func broken(_ failure: AttemptFailure) -> [UpstreamItem] {
    isBroken = true
    collected = []
    return [.broken(failure)]
  }

  /// Takes the body out of the reader, so that it is parsed without a copy.
  private mutating func taken() -> [UInt8] {
    defer { collected = [] }
    // Drops a byte order mark or a part of one.
    collected.removeFirst(collected.prefix { Self.orderMark.contains($0) }.count)
    return collected
  }

  private mutating func wholeBody() throws(AttemptFailure) -> UpstreamItem {
    var body = taken()
    switch (reading.endpoint, reading.dialect) {
    case (.embeddings, .ollama):
      body = try OllamaReader.embeddings(body, reading, &allowance)
      try allowance.charge(buffer: body.capacity)
    case (.completions, _):
      if let merged = try BatchAnswer.merged(body, &allowance) { body = merged }
    case (.chatCompletions, _), (.embeddings, .openai), (.embeddings, .anthropic): break
    }
    var json = try HostJSON(repairing: body, allowance)
    defer { allowance = json.allowance }
    if json.isRepaired { oddEvents += 1 }
    let facts = try ChunkFacts(&json, &terms)
    switch (reading.endpoint, reading.dialect) {
    // `OllamaReader` has checked the number of vectors.
    case (.embeddings, .ollama): break
    case (.embeddings, .openai), (.embeddings, .anthropic):
      try EmbeddingAnswer.check(&json, vectors: reading.vectors)
    case (.chatCompletions, _), (.completions, _):
      if !facts.hasChoices { throw Self.noAnswer(body) }
    }
    return .body(json.document.bytes, facts)
  }

  private static func noAnswer(_ body: [UInt8]) -> AttemptFailure {
    AttemptFailure(.garbage, "its answer has no choice: \(UpstreamWords.message(ofBody: body))")
  }

  private static func failure(
    status: Int, retryAfter: Duration?, body: [UInt8]
  ) -> AttemptFailure {
    let words = UpstreamWords.message(ofBody: body)
    let type = UpstreamWords.type(ofBody: body).map { " (\($0))" } ?? ""
    let kind: AttemptFailure.Kind =
      switch status {
      // 529 is Anthropic's own status for overload.
      case 429, 503, 529: .busy
      case 400, 405, 413, 414, 415, 422:
        UpstreamWords.mentionsContext(body) ? .contextTooSmall : .rejected
      default: .status
      }
    return AttemptFailure(
      kind, "it answered \(status)\(type)" + (words.isEmpty ? "" : ": \(words)"), status: status,
      retryAfter: retryAfter, refusal: UpstreamRefusal(status: status, body: body))
  }
}
