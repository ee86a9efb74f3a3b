import CProtobufC

extension String {
  init(wire data: ProtobufCBinaryData, _ field: StaticString) throws(WireError) {
    guard let base = unsafe data.data, unsafe data.len > 0 else {
      self = ""
      return
    }
    let bytes = unsafe UnsafeBufferPointer(start: base, count: data.len)
    guard let text = unsafe String(validating: bytes, as: UTF8.self) else {
      throw .invalidText(field: "\(field)")
    }
    self = text
  }
}

extension Array where Element == UInt8 {
  init(wire data: ProtobufCBinaryData) {
    guard let base = unsafe data.data, unsafe data.len > 0 else {
      self = []
      return
    }
    self = unsafe Array(UnsafeBufferPointer(start: base, count: data.len))
  }
}

extension Optional where Wrapped: RawRepresentable, Wrapped.RawValue == String {
  /// Reads an optional text. An empty text means `nil`.
  init(wire data: ProtobufCBinaryData, _ field: StaticString) throws(WireError) {
    self = unsafe data.len == 0 ? nil : try Wrapped(wire: data, field)
  }
}

extension RawRepresentable where RawValue == String {
  init(wire data: ProtobufCBinaryData, _ field: StaticString) throws(WireError) {
    guard let value = Self(rawValue: try unsafe String(wire: data, field)) else {
      throw .unknownValue(field: "\(field)")
    }
    self = value
  }
}

/// The elements of a repeated message field.
func elements<Message, Element>(
  _ count: Int, _ base: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?,
  _ convert: (Message) throws(WireError) -> Element
) throws(WireError) -> [Element] {
  guard count > 0, let base = unsafe base else { return [] }
  var result: [Element] = []
  result.reserveCapacity(count)
  for index in 0..<count {
    guard let element = unsafe base[index] else { throw .malformed("an element without content") }
    result.append(try unsafe convert(element.pointee))
  }
  return result
}

/// The elements of a repeated `bytes` field that holds text.
func texts(
  _ count: Int, _ base: UnsafeMutablePointer<ProtobufCBinaryData>?, _ field: StaticString
) throws(WireError) -> [String] {
  guard count > 0, let base = unsafe base else { return [] }
  var result: [String] = []
  result.reserveCapacity(count)
  for index in 0..<count { result.append(try unsafe String(wire: base[index], field)) }
  return result
}

/// Converts a submessage. Throws if it is absent.
func required<Message, Value>(
  _ pointer: UnsafeMutablePointer<Message>?, _ field: StaticString,
  _ convert: (Message) throws(WireError) -> Value
) throws(WireError) -> Value {
  guard let pointer = unsafe pointer else { throw .missing(field: "\(field)") }
  return try unsafe convert(pointer.pointee)
}

/// Calls `withUnsafeBytes`, but throws a typed error.
func reading<Value>(
  _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(WireError) -> Value
) throws(WireError) -> Value {
  let result = unsafe bytes.withUnsafeBytes { buffer -> Result<Value, WireError> in
    do throws(WireError) { return .success(try unsafe body(buffer)) } catch {
      return .failure(error)
    }
  }
  return try result.get()
}
