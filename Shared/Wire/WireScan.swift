import CProtobufC

/// Walks the bytes of a message along its descriptor and checks the cost of unpacking. The schema
/// has no recursive type. It therefore bounds the nesting of every message, even of garbage.
@unsafe
struct WireScan {
  let limits: WireLimits
  private var elements = 0
  private var unknown = 0

  /// Maximum unknown fields. A newer sender may add a few fields. More of them are garbage.
  private static let unknownFields = 64

  init(limits: WireLimits) { unsafe self.limits = limits }

  mutating func check(
    _ bytes: UnsafeRawBufferPointer, _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
  ) throws(WireError) {
    var offset = 0
    /// Singular fields seen so far, one bit per field index. No message has more than 64 fields.
    var seen: UInt64 = 0
    while offset < bytes.count {
      let key = try unsafe Self.varint(bytes, &offset)
      let number = key >> 3
      guard number > 0, number < 1 << 29 else { throw .malformed("field number") }
      let field = unsafe protobuf_c_message_descriptor_get_field(descriptor, UInt32(number))
      let value = try unsafe Self.skip(bytes, &offset, wireType: UInt8(key & 7))
      guard let field = unsafe field else {
        unsafe unknown += 1
        if unsafe unknown > Self.unknownFields {
          throw unsafe .tooManyElements(limit: Self.unknownFields)
        }
        continue
      }
      if unsafe field.pointee.label == PROTOBUF_C_LABEL_REPEATED {
        unsafe elements += 1
        if unsafe elements > limits.elements {
          throw unsafe .tooManyElements(limit: limits.elements)
        }
      } else {
        let index = unsafe field - descriptor.pointee.fields
        let bit: UInt64 = 1 << UInt64(truncatingIfNeeded: index & 63)
        if seen & bit != 0 { throw .malformed("a field twice") }
        seen |= bit
      }
      let type = unsafe field.pointee.type
      let expected: UInt8 =
        switch type {
        case PROTOBUF_C_TYPE_MESSAGE, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_STRING: 2
        case PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64, PROTOBUF_C_TYPE_DOUBLE: 1
        case PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32, PROTOBUF_C_TYPE_FLOAT: 5
        default: 0
        }
      guard expected == UInt8(key & 7) else { throw .malformed("wire type") }
      if type == PROTOBUF_C_TYPE_MESSAGE, let inner = unsafe field.pointee.descriptor {
        try unsafe check(
          UnsafeRawBufferPointer(rebasing: bytes[value]),
          inner.assumingMemoryBound(to: ProtobufCMessageDescriptor.self))
      }
    }
  }

  /// - Returns: the range of a length-delimited value. For other wire types the range is empty.
  private static func skip(
    _ bytes: UnsafeRawBufferPointer, _ offset: inout Int, wireType: UInt8
  ) throws(WireError) -> Range<Int> {
    switch wireType {
    case 0:
      _ = try unsafe varint(bytes, &offset)
      return offset..<offset
    case 1, 5:
      offset += wireType == 1 ? 8 : 4
      guard offset <= bytes.count else { throw .malformed("cut off") }
      return offset..<offset
    case 2:
      let length = try unsafe varint(bytes, &offset)
      guard length <= UInt64(bytes.count - offset) else { throw .malformed("cut off") }
      let start = offset
      offset += Int(length)
      return start..<offset
    default:
      throw .malformed("wire type")
    }
  }

  private static func varint(
    _ bytes: UnsafeRawBufferPointer, _ offset: inout Int
  ) throws(WireError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard offset < bytes.count else { throw .malformed("cut off") }
      let byte = unsafe bytes[offset]
      offset += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw .malformed("varint")
  }
}
