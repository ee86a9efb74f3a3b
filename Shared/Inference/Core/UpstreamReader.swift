import ClusterModel
import Text

/// How much a host may send.
public struct UpstreamLimits: Hashable, Sendable {
  /// One event of a stream: room for a whole tool call.
  public var eventBytes = 1 << 20
  /// One answer that is not streamed: 32 MiB holds 2,048 embeddings of 1,024 numbers.
  public var bodyBytes = 32 << 20
  /// All of a stream: a million tokens of some 64 bytes each.
  public var streamBytes = 64 << 20
  /// Of an error's body: enough for its message.
  public var errorBytes = 64 << 10

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
public struct UpstreamReader: Sendable {
  private enum Mode {
    /// OpenAI's server-sent events, unless the answer turns out to be one JSON body.
    case events
    /// A host that knows no streams gave its whole answer to a request for one.
    case wholeAnswer
    case anthropic(AnthropicReader)
    case ollama(OllamaReader)
    /// Nobody asked for a stream: embeddings.
    case body
    /// A status that is not 2xx: what follows is the cause.
    case error(status: Int, retryAfter: Duration?)
  }

  private let reading: UpstreamReading
  private let limits: UpstreamLimits
  private var mode: Mode
  private var events: SSESplitter
  private var lines: NDJSONSplitter
  private var collected: [UInt8] = []
  private var received = 0
  private var hasBegun = false
  private var isBroken = false

  public init(
    _ reading: UpstreamReading, status: Int, retryAfter: Duration? = nil,
    limits: UpstreamLimits = UpstreamLimits()
  ) {
    self.reading = reading
    self.limits = limits
    events = SSESplitter(maximumEventBytes: limits.eventBytes)
    lines = NDJSONSplitter(maximumLineBytes: limits.eventBytes)
    if !(200..<300).contains(status) {
      mode = .error(status: status, retryAfter: retryAfter)
    } else if !reading.streams {
      mode = .body
    } else {
      switch reading.dialect {
      case .openai: mode = .events
      case .anthropic: mode = .anthropic(AnthropicReader(reading))
      case .ollama: mode = .ollama(OllamaReader(reading))
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
    guard !isBroken else { return [] }
    received += bytes.count
    if !hasBegun, let first = bytes.first(where: { $0 > 0x20 }) {
      hasBegun = true
      // No field of an event stream begins like this.
      if case .events = mode, first == UInt8(ascii: "{") { mode = .wholeAnswer }
    }
    switch mode {
    case .error:
      collected += bytes.prefix(limits.errorBytes - collected.count)
      return collected.count == limits.errorBytes ? end() : []
    case .body, .wholeAnswer:
      guard received <= limits.bodyBytes else {
        return broken(.tooLarge, "its answer is larger than \(limits.bodyBytes) bytes")
      }
      collected += bytes
      return []
    case .events, .anthropic, .ollama:
      guard received <= limits.streamBytes else {
        return broken(.tooLarge, "its stream is larger than \(limits.streamBytes) bytes")
      }
      return appendToStream(bytes)
    }
  }

  private mutating func appendToStream(_ bytes: some Collection<UInt8>) -> [UpstreamItem] {
    var items: [UpstreamItem] = []
    if case .ollama = mode {
      let whole: [[UInt8]]
      do {
        whole = try lines.append(bytes)
      } catch {
        return broken(.tooLarge, "one line of its stream is larger than \(error.limit) bytes")
      }
      for line in whole where !isBroken { items += read(line) }
    } else {
      let whole: [SSEEvent]
      do {
        whole = try events.append(bytes)
      } catch {
        return broken(.tooLarge, "one event of its stream is larger than \(error.limit) bytes")
      }
      for event in whole where !isBroken { items += read(event.data, name: event.name) }
    }
    return items
  }

  /// The response is complete.
  public mutating func end() -> [UpstreamItem] {
    guard !isBroken else { return [] }
    do throws(AttemptFailure) {
      switch mode {
      case .events: return [.end]
      case .anthropic(var reader):
        let last = try reader.end()
        mode = .anthropic(reader)
        return last + [.end]
      case .ollama:
        let last = lines.end().map { read($0) } ?? []
        return isBroken ? last : last + [.end]
      case .error(let status, let retryAfter):
        throw Self.failure(status: status, retryAfter: retryAfter, body: collected)
      case .body: return [try wholeBody(), .end]
      case .wholeAnswer:
        let data = try WholeAnswer.chunk(of: collected, without: reading.prefix)
        let chunk = try InferenceChunk(data, wantsUsage: reading.wantsUsage)
        guard chunk.facts.finishReason != nil else { throw Self.noAnswer }
        return [.chunk(chunk), .done, .end]
      }
    } catch {
      isBroken = true
      return [.broken(error)]
    }
  }

  /// The connection went before the response was complete: what is known of an error is told, an
  /// answer is not one.
  public mutating func cutShort() -> [UpstreamItem] {
    if case .error = mode { return end() }
    return []
  }

  private mutating func read(_ data: [UInt8], name: String? = nil) -> [UpstreamItem] {
    do throws(AttemptFailure) {
      switch mode {
      case .anthropic(var reader):
        let items = try reader.read(data)
        mode = .anthropic(reader)
        return items
      case .ollama(var reader):
        let items = try reader.read(data)
        mode = .ollama(reader)
        return items
      case .events, .wholeAnswer, .body, .error:
        if data.elementsEqual("[DONE]".utf8) { return [.done] }
        let chunk = try InferenceChunk(data, wantsUsage: reading.wantsUsage)
        guard name != "error" else {
          return broken(.errorEvent, UpstreamWords.message(ofBody: data))
        }
        return [.chunk(chunk)]
      }
    } catch {
      isBroken = true
      return [.broken(error)]
    }
  }

  private mutating func broken(_ kind: AttemptFailure.Kind, _ message: String) -> [UpstreamItem] {
    isBroken = true
    return [.broken(AttemptFailure(kind, message))]
  }

  private func wholeBody() throws(AttemptFailure) -> UpstreamItem {
    var body = collected
    if reading.dialect == .ollama, reading.endpoint == .embeddings {
      body = try OllamaReader.embeddings(body, reading)
    }
    let facts = try ChunkFacts(parsing: body)
    guard reading.endpoint == .embeddings || facts.finishReason != nil else { throw Self.noAnswer }
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
