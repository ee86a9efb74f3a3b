public import ClusterModel

/// A frame on `tcp://`: a header that authenticates its sender, and then the sealed envelope. The
/// bus seals and opens frames.
///
/// The layout is fixed and not protobuf, so that a header can be checked before memory is allocated
/// for the body. The fields and their bytes are: "TS" (2), version (1), kind (1), incarnation (8,
/// big endian), counter (8, big endian), public key (32), length of the name (1), name, proof (16)
/// and body.
public struct SealedFrame: Equatable, Sendable {
  static let version: UInt8 = 2
  /// Bytes of a public key.
  static let keyBytes = 32
  /// Bytes of the proof, and also of the tag at the end of the body.
  public static let tagBytes = 16
  /// Maximum bytes of a sender's name.
  static let nameBytes = 64
  /// Bytes of a frame before the name.
  static let fixedBytes = 4 + 16 + keyBytes + 1

  public struct Header: Hashable, Sendable {
    public var sender: PeerID
    /// Nonce of the frame. It never repeats within an incarnation.
    public var counter: UInt64
    /// The sender's public key.
    public var key: [UInt8]
    /// Whether the frame is sealed with the cluster key alone, because the sender does not know the
    /// recipient's key.
    public var isIntroduction: Bool

    public init(sender: PeerID, counter: UInt64, key: [UInt8], isIntroduction: Bool = false) {
      self.sender = sender
      self.counter = counter
      self.key = key
      self.isIntroduction = isIntroduction
    }

    /// The header's bytes before the proof. The proof authenticates them.
    public var bytes: [UInt8] {
      var bytes: [UInt8] = [0x54, 0x53, SealedFrame.version, isIntroduction ? 1 : 0]
      let name = Array(sender.name.utf8.prefix(SealedFrame.nameBytes))
      bytes.reserveCapacity(SealedFrame.fixedBytes + name.count + SealedFrame.tagBytes)
      for number in [sender.incarnation, counter] {
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
          bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
      }
      bytes += key
      bytes.append(UInt8(name.count))
      return bytes + name
    }
  }

  /// Result of reading the first bytes of a frame.
  public enum Beginning: Equatable, Sendable {
    /// The header is not complete, so more bytes are needed.
    case incomplete
    case garbage
    /// A header and its proof. `length` is the number of bytes of both.
    case header(Header, proof: [UInt8], length: Int)
  }

  public var header: Header
  public var proof: [UInt8]
  /// The envelope, encrypted with ChaCha20-Poly1305, with the tag at the end.
  public var body: [UInt8]

  public init(header: Header, proof: [UInt8], body: [UInt8]) {
    self.header = header
    self.proof = proof
    self.body = body
  }

  public func encoded() -> [UInt8] { header.bytes + proof + body }

  public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(WireError) {
    guard bytes.count <= limits.frameBytes + Self.fixedBytes + Self.nameBytes + 2 * Self.tagBytes
    else { throw .tooLarge(bytes: bytes.count, limit: limits.frameBytes) }
    guard case .header(let header, let proof, let length) = Self.beginning(of: bytes),
      bytes.count >= length + Self.tagBytes
    else { throw .malformed("not a sealed frame") }
    self.init(header: header, proof: proof, body: Array(bytes[length...]))
  }

  /// Reads the header from the first bytes of a frame.
  public static func beginning(of bytes: [UInt8]) -> Beginning {
    for (index, expected) in [0x54, 0x53, version].enumerated() where index < bytes.count {
      if bytes[index] != expected { return .garbage }
    }
    guard bytes.count >= fixedBytes else { return .incomplete }
    let nameLength = Int(bytes[fixedBytes - 1])
    guard bytes[3] <= 1, (1...nameBytes).contains(nameLength) else { return .garbage }
    let length = fixedBytes + nameLength + tagBytes
    guard bytes.count >= length else { return .incomplete }
    let nameEnd = fixedBytes + nameLength
    guard let name = String(validating: bytes[fixedBytes..<nameEnd], as: UTF8.self) else {
      return .garbage
    }
    func number(_ start: Int) -> UInt64 {
      bytes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
    return .header(
      Header(
        sender: PeerID(name: name, incarnation: number(4)), counter: number(12),
        key: Array(bytes[20..<20 + keyBytes]), isIntroduction: bytes[3] == 1),
      proof: Array(bytes[nameEnd..<length]), length: length)
  }
}
