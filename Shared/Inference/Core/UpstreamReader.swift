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

/// Turns the bytes of one response into items, wherever the network cut them.
public struct UpstreamReader: Sendable {
  private enum Mode {
    case events
    case body(InferenceEndpoint)
    /// A status that is not 2xx: what follows is the cause.
    case error(status: Int, retryAfter: Duration?)
  }

  private let mode: Mode
  private var splitter: SSESplitter
  private let limits: UpstreamLimits
  private var collected: [UInt8] = []
  private var received = 0
  private var isBroken = false

  public init(
    endpoint: InferenceEndpoint, streams: Bool, status: Int, retryAfter: Duration? = nil,
    limits: UpstreamLimits = UpstreamLimits()
  ) {
    self.limits = limits
    splitter = SSESplitter(maximumEventBytes: limits.eventBytes)
    mode =
      (200..<300).contains(status)
      ? streams ? .events : .body(endpoint)
      : .error(status: status, retryAfter: retryAfter)
  }

  /// Nothing comes after `broken`.
  public mutating func append(_ bytes: some Collection<UInt8>) -> [UpstreamItem] {
    guard !isBroken else { return [] }
    received += bytes.count
    switch mode {
    case .error:
      collected += bytes.prefix(limits.errorBytes - collected.count)
      return collected.count == limits.errorBytes ? end() : []
    case .body:
      guard received <= limits.bodyBytes else {
        return broken(.tooLarge, "its answer is larger than \(limits.bodyBytes) bytes")
      }
      collected += bytes
      return []
    case .events:
      guard received <= limits.streamBytes else {
        return broken(.tooLarge, "its stream is larger than \(limits.streamBytes) bytes")
      }
      let events: [SSEEvent]
      do {
        events = try splitter.append(bytes)
      } catch {
        return broken(.tooLarge, "one event of its stream is larger than \(error.limit) bytes")
      }
      var items: [UpstreamItem] = []
      for event in events where !isBroken { items += read(event) }
      return items
    }
  }

  /// The response is complete.
  public mutating func end() -> [UpstreamItem] {
    guard !isBroken else { return [] }
    switch mode {
    case .events: return [.end]
    case .error(let status, let retryAfter):
      isBroken = true
      return [.broken(Self.failure(status: status, retryAfter: retryAfter, body: collected))]
    case .body(let endpoint):
      do {
        return [.body(collected, try Self.facts(of: collected, endpoint)), .end]
      } catch {
        isBroken = true
        return [.broken(error)]
      }
    }
  }

  /// The connection went before the response was complete: what is known of an error is told, an
  /// answer is not one.
  public mutating func cutShort() -> [UpstreamItem] {
    if case .error = mode { return end() }
    return []
  }

  private mutating func read(_ event: SSEEvent) -> [UpstreamItem] {
    if event.data.elementsEqual("[DONE]".utf8) { return [.done] }
    do {
      let facts = try ChunkFacts(parsing: event.data)
      guard event.name != "error" else {
        return broken(.errorEvent, UpstreamWords.message(ofBody: event.data))
      }
      return [.chunk(InferenceChunk(data: event.data, facts: facts))]
    } catch {
      isBroken = true
      return [.broken(error)]
    }
  }

  private mutating func broken(_ kind: AttemptFailure.Kind, _ message: String) -> [UpstreamItem] {
    isBroken = true
    return [.broken(AttemptFailure(kind, message))]
  }

  private static func facts(
    of body: [UInt8], _ endpoint: InferenceEndpoint
  ) throws(AttemptFailure) -> ChunkFacts {
    let facts = try ChunkFacts(parsing: body)
    guard endpoint != .embeddings, facts.finishReason == nil else { return facts }
    throw AttemptFailure(.garbage, "its answer has no choice with a finish_reason")
  }

  private static func failure(
    status: Int, retryAfter: Duration?, body: [UInt8]
  ) -> AttemptFailure {
    let words = UpstreamWords.message(ofBody: body)
    let kind: AttemptFailure.Kind =
      switch status {
      case 429, 503: .busy
      case 400, 405, 413, 414, 415, 422: .rejected
      default: .status
      }
    return AttemptFailure(
      kind, "it answered \(status)" + (words.isEmpty ? "" : ": \(words)"), status: status,
      retryAfter: retryAfter)
  }
}
