import Limits

/// Decodes one HTTP body incrementally.
///
/// Encoded bytes are stored as they arrive and decoded only by `pull`, so a small body cannot make
/// a large buffer. Some proxies decode a body and keep its `Content-Encoding`. So a body whose
/// first bytes show that it is not encoded is passed on unchanged.
///
/// @unchecked: not thread-safe. The owner of a decoder keeps it under a lock.
public final class BodyDecoder: @unchecked Sendable {
  private enum State {
    /// The first bytes have not arrived.
    case undecided
    case plain
    case zlib(ZlibStream)
    case zstd(ZstdStream)
    /// A gzip member has ended, and another one may follow.
    case between(ZlibStream)
    /// The data is complete. Further bytes are padding.
    case over
  }

  /// Maximum window of zstd as a power of two: 8 MiB, which HTTP allows (RFC 9659).
  private static let zstdWindowLog: CInt = 23
  private static let zlibWindowBits: CInt = 15

  private let coding: ContentCoding
  private var state = State.undecided
  private var input: [UInt8] = []
  private var position = 0
  private var isEnded = false
  private var received = 0
  private var decoded = 0

  public init(_ coding: ContentCoding) {
    self.coding = coding
    if coding == .identity { state = .plain }
  }

  /// Number of encoded bytes that are not decoded yet.
  var pendingBytes: Int { input.count - position }

  public func push(_ bytes: some Collection<UInt8>) {
    if position > 0 {
      input.removeFirst(position)
      position = 0
    }
    input += bytes
    received += bytes.count
  }

  /// Marks the end of the encoded bytes.
  public func finish() { isEnded = true }

  /// - Returns: at most `limit` decoded bytes. An empty array means that more bytes must be pushed
  ///   first, or that the body has ended.
  public func pull(_ limit: Int) throws(BrokenCoding) -> [UInt8] {
    while true {
      let step: DecodingStep
      switch state {
      case .undecided:
        guard try begin() else { return [] }
        continue
      case .plain:
        let end = min(position + limit, input.count)
        defer { position = end }
        return Array(input[position..<end])
      case .over:
        position = input.count
        return []
      case .between(let stream):
        if beginsAs(.gzip) {
          stream.reset()
          state = .zlib(stream)
        } else {
          guard pendingBytes >= 2 else { return [] }
          state = .over
        }
        continue
      case .zlib(let stream):
        guard pendingBytes > 0 || holdsMore else { return [] }
        step = stream.step(input[position...], limit: limit)
      case .zstd(let stream):
        guard pendingBytes > 0 || holdsMore else { return [] }
        step = stream.step(input[position...], limit: limit)
      }
      let bytes: [UInt8]
      let used: Int
      switch step {
      case .broken: throw broken(.invalid)
      case .more(let more, let count): (bytes, used) = (more, count)
      case .end(let last, let count):
        (bytes, used) = (last, count)
        if case .zlib(let stream) = state { state = coding == .gzip ? .between(stream) : .over }
      }
      position += used
      holdsMore = bytes.count == limit
      if !bytes.isEmpty { return try counted(bytes) }
      // The step had no effect, so another step would have none.
      if used == 0 { return [] }
    }
  }

  /// Whether the decoder may hold decoded bytes that did not fit into the last output.
  private var holdsMore = false

  // MARK: - Beginning

  /// Chooses the decoder by the first bytes.
  /// - Returns: `false` if more bytes are needed for the choice.
  private func begin() throws(BrokenCoding) -> Bool {
    let needed = coding == .zstd ? 4 : 2
    guard pendingBytes >= needed || isEnded else { return false }
    guard pendingBytes > 0 else { return false }
    switch coding {
    case .identity: state = .plain
    case .gzip:
      guard beginsAs(.gzip) else {
        state = .plain
        break
      }
      // In zlib, adding 16 to the window bits selects a gzip header.
      try open(Self.zlibWindowBits + 16)
    case .deflate:
      if beginsAs(.deflate) {
        try open(Self.zlibWindowBits)
      } else if looksLikeText {
        state = .plain
      } else {
        // Negative window bits select raw deflate data without a zlib header, which some servers
        // send.
        try open(-Self.zlibWindowBits)
      }
    case .zstd:
      guard beginsAs(.zstd) else {
        state = .plain
        break
      }
      guard let stream = ZstdStream(windowLog: Self.zstdWindowLog) else { throw broken(.memory) }
      state = .zstd(stream)
    }
    return true
  }

  private func open(_ windowBits: CInt) throws(BrokenCoding) {
    guard let stream = ZlibStream(windowBits: windowBits) else { throw broken(.memory) }
    state = .zlib(stream)
  }

  private func beginsAs(_ coding: ContentCoding) -> Bool {
    let bytes = input[position...].prefix(4)
    switch coding {
    case .identity: return true
    case .gzip: return bytes.starts(with: [0x1F, 0x8B])
    case .zstd: return bytes.starts(with: [0x28, 0xB5, 0x2F, 0xFD])
    case .deflate:
      guard let first = bytes.first, let second = bytes.dropFirst().first else { return false }
      return first & 0x0F == 8 && (Int(first) << 8 | Int(second)).isMultiple(of: 31)
    }
  }

  /// Whether the body starts like JSON, an event stream or an HTML page. Some servers send such a
  /// body uncompressed with `Content-Encoding: deflate`.
  private var looksLikeText: Bool {
    guard let first = input[position...].first else { return false }
    return "{[:\n\r <".utf8.contains(first)
      || ["da", "ev", "id", "re"].contains {
        input[position...].prefix(2).elementsEqual($0.utf8)
      }
  }

  private func counted(_ bytes: [UInt8]) throws(BrokenCoding) -> [UInt8] {
    decoded = decoded.addingCapped(bytes.count)
    guard
      decoded <= Limits.decodedFreely.value
        || decoded <= received.multipliedCapped(by: Limits.decodedPerByte.value)
    else { throw broken(.bomb) }
    return bytes
  }

  private func broken(_ cause: BrokenCoding.Cause) -> BrokenCoding {
    let text =
      switch cause {
      case .invalid: "is not valid \(coding.rawValue) data"
      case .bomb:
        "decodes to more than \(Limits.decodedPerByte.value) times its bytes "
          + "(limit \(Limits.decodedPerByte.name))"
      case .memory: "cannot be decoded: no memory for \(coding.rawValue)"
      }
    return BrokenCoding(coding: coding, cause: cause, description: text)
  }
}
