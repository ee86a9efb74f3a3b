public import BusCore
import CProtobufC
import ClusterModel
import ClusterProto

extension Envelope {
  /// Encodes a message of any length. The bus splits a message that is longer than a frame.
  public func encoded() throws(WireError) -> [UInt8] {
    let arena = unsafe Arena()
    let message = unsafe arena.envelope(self)
    let size = unsafe tutti__v1__envelope__get_packed_size(message)
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = unsafe tutti__v1__envelope__pack(message, buffer.baseAddress)
    }
    // The message points into the arena, so the arena must live until here.
    unsafe withExtendedLifetime(arena) {}
    guard bytes.count == size else { throw .malformed("\(bytes.count) of \(size) bytes packed") }
    return bytes
  }

  /// - Throws: `WireError` if the bytes are not a valid message of this schema version.
  init(
    decoding bytes: UnsafeRawBufferPointer, limits: WireLimits = .standard
  ) throws(WireError) {
    try unsafe Self.scan(bytes, limits)
    guard bytes.count > 0, let base = bytes.baseAddress else { throw .malformed("empty") }
    guard
      let message = unsafe tutti__v1__envelope__unpack(
        nil, bytes.count, base.assumingMemoryBound(to: UInt8.self))
    else { throw .malformed("not an envelope") }
    defer { unsafe tutti__v1__envelope__free_unpacked(message, nil) }
    self = try unsafe Envelope(wire: message.pointee)
  }

  public init(decoding bytes: [UInt8], limits: WireLimits = .standard) throws(WireError) {
    self = try unsafe reading(bytes) { buffer throws(WireError) in
      try unsafe Envelope(decoding: buffer, limits: limits)
    }
  }

  /// Checks that the bytes are within the limits of a receiver, without decoding them.
  public static func check(
    _ bytes: [UInt8], limits: WireLimits = .standard
  ) throws(WireError) {
    try unsafe reading(bytes) { buffer throws(WireError) in try unsafe scan(buffer, limits) }
  }

  /// Checks that the bytes and the allocations of unpacking them are within the limits.
  private static func scan(
    _ bytes: UnsafeRawBufferPointer, _ limits: WireLimits
  ) throws(WireError) {
    guard bytes.count <= limits.frameBytes else {
      throw .tooLarge(bytes: bytes.count, limit: limits.frameBytes)
    }
    guard bytes.count > 0 else { throw .malformed("empty") }
    var scan = unsafe WireScan(limits: limits)
    try unsafe withUnsafePointer(to: tutti__v1__envelope__descriptor) {
      descriptor throws(WireError) in try unsafe scan.check(bytes, descriptor)
    }
  }

  /// Maximum bytes of a sender's name. The name is a key in many tables.
  private static let senderBytes = 128

  private init(wire message: Tutti__V1__Envelope) throws(WireError) {
    guard unsafe message.version == Self.version else {
      throw unsafe .unsupportedVersion(message.version)
    }
    guard let shape = Shape(rawValue: UInt32(truncatingIfNeeded: unsafe message.shape.rawValue))
    else { throw .unknownValue(field: "Envelope.shape") }
    let sender = try unsafe String(wire: message.sender, "Envelope.sender")
    guard !sender.isEmpty else { throw .missing(field: "Envelope.sender") }
    guard sender.utf8.count <= Self.senderBytes else {
      throw .malformed("Envelope.sender is longer than \(Self.senderBytes) bytes")
    }
    let to = unsafe message.to_incarnation
    let remaining = unsafe message.remaining_ms
    var trace: TraceContext?
    if let context = unsafe message.trace { trace = try unsafe TraceContext(wire: context.pointee) }
    self.init(
      messageID: unsafe message.message_id, correlationID: unsafe message.correlation_id,
      shape: shape,
      sender: PeerID(name: sender, incarnation: unsafe message.sender_incarnation),
      toIncarnation: to == 0 ? nil : to,
      remaining: remaining == 0 ? nil : .milliseconds(remaining),
      sequence: unsafe message.sequence, trace: trace,
      idempotencyKey: unsafe [UInt8](wire: message.idempotency_key),
      body: try unsafe Body(wire: message))
  }
}

extension TraceContext {
  init(wire message: Tutti__V1__TraceContext) throws(WireError) {
    let bytes = unsafe [UInt8](wire: message.trace_id)
    guard bytes.count == 16 else { throw .malformed("TraceContext.trace_id is not 16 bytes") }
    func word(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    self.init(
      trace: TraceID(high: word(0..<8), low: word(8..<16)),
      span: SpanID(unsafe message.span_id))
  }
}

extension Arena {
  private func trace(_ context: TraceContext) -> UnsafeMutablePointer<Tutti__V1__TraceContext> {
    let message = unsafe make(tutti__v1__trace_context__init)
    let words = [context.trace.high, context.trace.low]
    unsafe message.pointee.trace_id = bytes(
      words.flatMap { word in
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
      })
    unsafe message.pointee.span_id = context.span.value
    return unsafe message
  }

  func envelope(_ envelope: Envelope) -> UnsafeMutablePointer<Tutti__V1__Envelope> {
    let message = unsafe make(tutti__v1__envelope__init)
    unsafe message.pointee.version = Envelope.version
    unsafe message.pointee.message_id = envelope.messageID
    unsafe message.pointee.correlation_id = envelope.correlationID
    unsafe message.pointee.shape = Tutti__V1__Shape(rawValue: .init(envelope.shape.rawValue))
    unsafe message.pointee.sender = text(envelope.sender.name)
    unsafe message.pointee.sender_incarnation = envelope.sender.incarnation
    unsafe message.pointee.to_incarnation = envelope.toIncarnation ?? 0
    // 0 means no deadline, so a remaining time of less than a millisecond is sent as 1.
    unsafe message.pointee.remaining_ms =
      envelope.remaining.map { max(1, $0.wireMilliseconds) } ?? 0
    unsafe message.pointee.sequence = envelope.sequence
    if let context = envelope.trace { unsafe message.pointee.trace = trace(context) }
    unsafe message.pointee.idempotency_key = bytes(envelope.idempotencyKey)
    unsafe fill(message, envelope.body)
    return unsafe message
  }
}
