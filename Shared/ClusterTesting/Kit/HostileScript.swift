import NIOHTTP1

/// One response of a hostile host: what it sends, in order, and how it ends.
///
/// Bytes are generated when they are sent, `maximumBytes` at most, so that a test case that floods
/// a gateway cannot fill the memory of the test machine.
struct HostileScript: Sendable {
  enum Part: Sendable {
    case bytes([UInt8])
    /// The same bytes, repeated.
    case times(Int, [UInt8])
    /// Bytes made from a counter that begins at 0.
    case each(Int, @Sendable (Int) -> [UInt8])
    case pause(milliseconds: Int64)
  }

  enum Ending: Sendable {
    /// The response ends as HTTP requires.
    case proper
    /// The connection is closed.
    case cut
    /// Nothing more is sent; the connection stays open.
    case open
  }

  /// More than twice the largest body that a gateway accepts from a host.
  static let maximumBytes = 64 << 20
  /// Default bytes per write: about one socket buffer.
  static let standardBatch = 64 << 10

  var status = 200
  var type = "text/event-stream"
  var headers: [(name: String, value: String)] = []
  /// Content length; `nil` means chunked transfer coding.
  var length: Int?
  var parts: [Part]
  var ending = Ending.proper
  /// Bytes per write.
  var batch = standardBatch

  init(_ parts: [Part], ending: Ending = .proper) {
    self.parts = parts
    self.ending = ending
  }

  static func body(_ parts: [Part], status: Int = 200) -> HostileScript {
    var script = HostileScript(parts)
    script.type = "application/json"
    script.status = status
    return script
  }

  var head: HTTPResponseHead {
    var fields = HTTPHeaders()
    fields.add(name: "content-type", value: type)
    for header in headers { fields.add(name: header.name, value: header.value) }
    if let length { fields.add(name: "content-length", value: "\(length)") }
    return HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: fields)
  }
}

/// Progress of a script while it is sent.
struct HostileCursor {
  enum Step {
    case send([UInt8])
    case pause(milliseconds: Int64)
    case end
  }

  private let script: HostileScript
  private let divisor: Int
  private var part = 0
  /// Number of sent repetitions of the part.
  private var done = 0
  /// Bytes that did not fit into a write.
  private var rest: ArraySlice<UInt8> = []
  private(set) var sent = 0

  /// - Parameter divisor: divides every repetition count, for the same harm at a smaller size.
  init(_ script: HostileScript, divisor: Int = 1) {
    self.script = script
    self.divisor = max(divisor, 1)
  }

  /// The next step: a write of at most one batch, a pause or the end.
  mutating func next() -> Step {
    var batch: [UInt8] = []
    while batch.count < script.batch, sent + batch.count < HostileScript.maximumBytes {
      if !rest.isEmpty {
        let piece = rest.prefix(script.batch - batch.count)
        batch += piece
        rest = rest.dropFirst(piece.count)
        continue
      }
      guard part < script.parts.count else { break }
      switch script.parts[part] {
      case .bytes(let bytes):
        rest = bytes[...]
        advance(1)
      case .times(let count, let bytes):
        rest = bytes[...]
        advance(max(count / divisor, 1))
      case .each(let count, let make):
        rest = make(done)[...]
        advance(max(count / divisor, 1))
      case .pause(let milliseconds):
        // Send the pending bytes first.
        guard batch.isEmpty else {
          sent += batch.count
          return .send(batch)
        }
        advance(1)
        return .pause(milliseconds: milliseconds)
      }
    }
    guard !batch.isEmpty else { return .end }
    sent += batch.count
    return .send(batch)
  }

  private mutating func advance(_ count: Int) {
    done += 1
    if done >= count {
      part += 1
      done = 0
    }
  }
}
