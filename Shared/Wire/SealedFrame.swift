import CProtobufC
public import ClusterModel
import ClusterProto

/// What goes over `tcp://` instead of a bare envelope. The bus seals and opens it.
public struct SealedFrame: Equatable, Sendable {
  public static let version: UInt32 = 1

  public var sender: PeerID
  /// The nonce; never repeats within an incarnation.
  public var counter: UInt64
  /// ChaCha20-Poly1305 of an envelope, tag appended.
  public var ciphertext: [UInt8]

  public init(sender: PeerID, counter: UInt64, ciphertext: [UInt8]) {
    self.sender = sender
    self.counter = counter
    self.ciphertext = ciphertext
  }

  public func encoded() throws(WireError) -> [UInt8] {
    let arena = unsafe Arena()
    let message = unsafe arena.make(tutti__v1__sealed_frame__init)
    unsafe message.pointee.version = Self.version
    unsafe message.pointee.sender = arena.text(sender.name)
    unsafe message.pointee.incarnation = sender.incarnation
    unsafe message.pointee.counter = counter
    unsafe message.pointee.ciphertext = arena.bytes(ciphertext)
    let size = unsafe tutti__v1__sealed_frame__get_packed_size(message)
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = unsafe tutti__v1__sealed_frame__pack(message, buffer.baseAddress)
    }
    unsafe withExtendedLifetime(arena) {}
    guard bytes.count == size else { throw .malformed("\(bytes.count) of \(size) bytes packed") }
    return bytes
  }

  public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(WireError) {
    guard bytes.count <= limits.frameBytes else {
      throw .tooLarge(bytes: bytes.count, limit: limits.frameBytes)
    }
    self = try unsafe reading(bytes) { buffer throws(WireError) in
      guard bytes.count > 0, let base = buffer.baseAddress else { throw .malformed("empty") }
      var scan = unsafe WireScan(limits: limits)
      try unsafe withUnsafePointer(to: tutti__v1__sealed_frame__descriptor) {
        descriptor throws(WireError) in try unsafe scan.check(buffer, descriptor)
      }
      guard
        let message = unsafe tutti__v1__sealed_frame__unpack(
          nil, buffer.count, base.assumingMemoryBound(to: UInt8.self))
      else { throw .malformed("not a sealed frame") }
      defer { unsafe tutti__v1__sealed_frame__free_unpacked(message, nil) }
      guard unsafe message.pointee.version == Self.version else {
        throw unsafe .unsupportedVersion(message.pointee.version)
      }
      let name = try unsafe String(wire: message.pointee.sender, "SealedFrame.sender")
      guard !name.isEmpty else { throw .missing(field: "SealedFrame.sender") }
      return SealedFrame(
        sender: PeerID(name: name, incarnation: unsafe message.pointee.incarnation),
        counter: unsafe message.pointee.counter,
        ciphertext: unsafe [UInt8](wire: message.pointee.ciphertext))
    }
  }
}
