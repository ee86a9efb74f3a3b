import ClusterModel
public import Limits
import Text

/// How much a host may send.
public struct UpstreamLimits: Hashable, Sendable {
  public var eventBytes = Limits.eventBytes.value
  public var bodyBytes = Limits.answerBodyBytes.value
  public var streamBytes = Limits.streamBytes.value
  public var errorBytes = Limits.errorBytes.value

  public init() {}
}

/// What came from a host.
public enum UpstreamItem: Hashable, Sendable {
  case chunk(InferenceChunk)
  /// `data: [DONE]`.
  case done
  case body([UInt8], ChunkFacts)
  case broken(AttemptFailure)
  /// The response is complete.
  case end
}

/// Turns the bytes of one response into items, wherever the network cut them. Whatever the host's
/// dialect, a stream comes out as chunks in OpenAI's; where that is the host's own, byte for byte.
///
/// It is driven in slices. A call of `append(_:)` with at most 16 KiB costs less than about 1 ms,
/// unless `pendingBytes` is large: then that many bytes are parsed at once by the call that completes
/// an event, or by `end()`. The reader is a `Sendable` value, so such a call can be made away from an
/// event loop: take the reader out of its place, call it, put it back before the next bytes.
///
/// Everything is charged to `allowance`: bytes that are kept by the capacity of their buffers, and
/// work by each pass over them. A host that overdraws ends with `broken`.
public struct UpstreamReader: Sendable {
  private enum Mode {
    /// OpenAI's server-sent events, unless the answer turns out to be one JSON body.
    case events
    /// A host that knows no streams gave its whole answer to a request for one.
    case wholeAnswer
    case anthropic
    case ollama
    /// Nobody asked for a stream: embeddings.
    case body
    /// A status that is not 2xx: what follows is the cause.
    case error(status: Int, retryAfter: Duration?)
  }

  private let reading: UpstreamReading
  private let limits: UpstreamLimits
  private var mode: Mode
  // Not within `Mode`: a payload that is taken out to be changed would be copied.
  private var anthropic: AnthropicReader
  private var ollama: OllamaReader
  private var events: SSESplitter
  private var lines: NDJSONSplitter
  private var collected: [UInt8] = []
  private var hasBegun = false
  private var isBroken = false
  /// `data: [DONE]` came: the rest of the response is not read.
  private var isDone = false
  private var splitterWork = 0
  private var bufferBytes = 0
  private var news = ChunkNews()
  /// What the host has cost so far.
  public private(set) var allowance = Allowance(memory: Limits.readerBytes)

  public init(
    _ reading: UpstreamReading, status: Int, retryAfter: Duration? = nil,
    limits: UpstreamLimits = UpstreamLimits()
  ) {
    self.reading = reading
    self.limits = limits
    events = SSESplitter(maximumEventBytes: limits.eventBytes)
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

  /// Of a host that speaks OpenAI's dialect.
  public init(
    endpoint: InferenceEndpoint, streams: Bool, status: Int, retryAfter: Duration? = nil,
    limits: UpstreamLimits = UpstreamLimits()
  ) {
    self.init(
      UpstreamReading(endpoint: endpoint, streams: streams), status: status,
      retryAfter: retryAfter, limits: limits)
  }

  /// Bytes that the next call of `append(_:)` or `end()` may parse at once, besides those that it is
  /// given: an event that is not complete yet, or a body that is parsed whole at its end.
  public var pendingBytes: Int {
    switch mode {
    case .events, .anthropic: events.pendingBytes
    case .ollama: lines.pendingBytes
    case .wholeAnswer, .body, .error: collected.count
    }
  }

  /// Nothing comes after `broken`.
  public mutating func append(_ bytes: some Collection<UInt8>) -> [UpstreamItem] {
    append(piece: Array(bytes))
  }

  /// Not generic: the bytes are walked without a call for each.
  private mutating func append(piece bytes: [UInt8]) -> [UpstreamItem] {
    guard !isBroken, !isDone else { return [] }
    allowance.receive(bytes.count)
    if !hasBegun, let first = bytes.first(where: { $0 > 0x20 }) {
      hasBegun = true
      // No field of an event stream begins like this.
      if case .events = mode, first == UInt8(ascii: "{") { mode = .wholeAnswer }
    }
    do throws(AttemptFailure) {
      switch mode {
      case .error:
        collected += bytes.prefix(limits.errorBytes - collected.count)
        return collected.count == limits.errorBytes ? end() : []
      case .body, .wholeAnswer:
        let limit = bodyLimit
        guard allowance.received <= limit.bytes else {
          throw AttemptFailure(
            .tooLarge, "its answer is larger than \(limit.bytes) bytes (limit \(limit.name))")
        }
        collect(bytes)
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

  /// Doubles the buffer like an array does, but never beyond what a body may have.
  private mutating func collect(_ bytes: [UInt8]) {
    let needed = collected.count + bytes.count
    if needed > collected.capacity {
      collected.reserveCapacity(
        min(max(needed, collected.capacity.multipliedCapped(by: 2)), max(limits.bodyBytes, needed)))
    }
    collected += bytes
  }

  private mutating func appendToStream(
    _ bytes: [UInt8]
  ) throws(AttemptFailure) -> [UpstreamItem] {
    var items: [UpstreamItem] = []
    if case .ollama = mode {
      let whole: [[UInt8]]
      do {
        whole = try lines.append(bytes)
      } catch {
        throw tooLarge("line")
      }
      try chargeBuffers()
      for line in whole where !isBroken && !isDone { read(line, name: nil, &items) }
    } else {
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

  /// The response is complete.
  public mutating func end() -> [UpstreamItem] {
    guard !isBroken else { return [] }
    do throws(AttemptFailure) {
      switch mode {
      case .events: return [.end]
      case .anthropic: return (isDone ? [] : try anthropic.end(&allowance)) + [.end]
      case .ollama:
        var items: [UpstreamItem] = []
        if !isDone, let line = lines.end() { read(line, name: nil, &items) }
        return isBroken ? items : items + [.end]
      case .error(let status, let retryAfter):
        throw Self.failure(status: status, retryAfter: retryAfter, body: collected)
      case .body: return [try wholeBody(), .end]
      case .wholeAnswer:
        let data = try WholeAnswer.chunk(of: taken(), reading, &allowance)
        try allowance.charge(buffer: data.capacity)
        let chunk = try InferenceChunk(data, reading, &allowance)
        guard chunk.facts.finishReason != nil else { throw Self.noAnswer }
        return [.chunk(chunk), .done, .end]
      }
    } catch {
      return broken(error)
    }
  }

  /// The connection went before the response was complete: what is known of an error is told, an
  /// answer is not one.
  public mutating func cutShort() -> [UpstreamItem] {
    if case .error = mode { return end() }
    return []
  }

  private mutating func read(_ data: [UInt8], name: String?, _ items: inout [UpstreamItem]) {
    do throws(AttemptFailure) {
      try allowance.charge(Limits.eventWork.value)
      switch mode {
      case .anthropic: items += try anthropic.read(data, &allowance)
      case .ollama: items += try ollama.read(data, &allowance)
      case .events, .wholeAnswer, .body, .error:
        if data.elementsEqual("[DONE]".utf8) {
          items.append(.done)
          break
        }
        let chunk = try InferenceChunk(data, reading, &allowance)
        guard name != "error" else {
          throw AttemptFailure(.errorEvent, UpstreamWords.message(ofBody: data))
        }
        if try news.isToBePassedOn(chunk.facts, choices: reading.choices) {
          items.append(.chunk(chunk))
        }
      }
      if case .done? = items.last { isDone = true }
    } catch {
      items += broken(error)
    }
  }

  private mutating func broken(_ failure: AttemptFailure) -> [UpstreamItem] {
    isBroken = true
    collected = []
    return [.broken(failure)]
  }

  /// The body; it is parsed once, and nothing is left of it here.
  private mutating func taken() -> [UInt8] {
    defer { collected = [] }
    return collected
  }

  private mutating func wholeBody() throws(AttemptFailure) -> UpstreamItem {
    var body = taken()
    if reading.dialect == .ollama, reading.endpoint == .embeddings {
      body = try OllamaReader.embeddings(body, reading, &allowance)
      try allowance.charge(buffer: body.capacity)
    }
    var json = try HostJSON(body, allowance)
    defer { allowance = json.allowance }
    let facts = try ChunkFacts(&json, choices: reading.choices)
    if reading.endpoint == .embeddings {
      if reading.dialect != .ollama { try EmbeddingAnswer.check(&json, vectors: reading.vectors) }
    } else if facts.finishReason == nil {
      throw Self.noAnswer
    }
    return .body(body, facts)
  }

  private static let noAnswer = AttemptFailure(
    .garbage, "its answer has no choice with a finish_reason")

  private static func failure(
    status: Int, retryAfter: Duration?, body: [UInt8]
  ) -> AttemptFailure {
    let words = UpstreamWords.message(ofBody: body)
    let type = UpstreamWords.type(ofBody: body).map { " (\($0))" } ?? ""
    let kind: AttemptFailure.Kind =
      switch status {
      // 529 is Anthropic's own for "overloaded".
      case 429, 503, 529: .busy
      case 400, 405, 413, 414, 415, 422:
        UpstreamWords.speaksOfContext(body) ? .contextTooSmall : .rejected
      default: .status
      }
    return AttemptFailure(
      kind, "it answered \(status)\(type)" + (words.isEmpty ? "" : ": \(words)"), status: status,
      retryAfter: retryAfter)
  }
}

/// Decides which chunks without news are passed on: a host may send them without end, and each would
/// be held and sent to the client.
struct ChunkNews: Sendable {
  private var inRow = 0
  private var total = 0

  mutating func isToBePassedOn(
    _ facts: ChunkFacts, choices: Int
  ) throws(AttemptFailure) -> Bool {
    guard facts.text.isEmpty, !facts.hasOther, facts.finishedChoices == 0 else {
      inRow = 0
      return true
    }
    inRow += 1
    total += 1
    guard total <= Limits.emptyChunks.value else {
      throw AttemptFailure(overdrawn: Limits.emptyChunks)
    }
    let free = Limits.emptyChunksInRow.value
    // Token counts are needed; each choice has an opening chunk.
    return facts.usage != nil || inRow <= free + choices || inRow % free == 0
  }
}
