internal import CMongoC

/// A BSON document that is being built. It owns its `bson_t`.
@safe final class BSONDocument {
  let handle: OpaquePointer

  init() { unsafe handle = bson_new() }

  deinit { unsafe bson_destroy(handle) }

  /// Fingerprint of the bytes (FNV-1a, 64 bits). Equal documents have the same fingerprint for a
  /// seed in every process and release.
  func fingerprint(seed text: String) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    for byte in text.utf8 { mix(byte) }
    mix(0)
    // The first 32 bits of a document are its length, little-endian.
    if let start = unsafe bson_get_data(handle) {
      let length = unsafe UnsafeRawPointer(start).loadUnaligned(as: Int32.self)
      let bytes = unsafe UnsafeBufferPointer(start: start, count: Int(Int32(littleEndian: length)))
      unsafe bytes.forEach(mix)
    }
    return hash
  }

  // `bson_append_…` fails only if a document exceeds 2 GiB. Documents of the stores are smaller.

  @discardableResult
  func set(_ key: String, _ value: Int64) -> Self {
    unsafe bson_append_int64(handle, key, -1, value)
    return self
  }

  @discardableResult
  func set(_ key: String, _ value: Int) -> Self { set(key, Int64(value)) }

  @discardableResult
  func set(_ key: String, _ value: Bool) -> Self {
    unsafe bson_append_bool(handle, key, -1, value)
    return self
  }

  /// - Parameter value: any UTF-8. Its length is passed to libbson, so a NUL does not truncate it.
  @discardableResult
  func set(_ key: String, _ value: String) -> Self {
    var value = value
    value.withUTF8 { bytes in
      // The address of an empty string may be NULL, which BSON would store as null.
      if let base = bytes.baseAddress, !bytes.isEmpty {
        unsafe base.withMemoryRebound(to: CChar.self, capacity: bytes.count) { text in
          _ = unsafe bson_append_utf8(handle, key, -1, text, Int32(bytes.count))
        }
      } else {
        unsafe bson_append_utf8(handle, key, -1, "", 0)
      }
    }
    return self
  }

  @discardableResult
  func set(_ key: String, _ value: BSONDocument) -> Self {
    unsafe bson_append_document(handle, key, -1, value.handle)
    return self
  }

  @discardableResult
  func set(_ key: String, _ values: [BSONDocument]) -> Self {
    let array = BSONDocument()
    for (index, value) in values.enumerated() { array.set("\(index)", value) }
    unsafe bson_append_array(handle, key, -1, array.handle)
    return self
  }

  @discardableResult
  func set(_ key: String, _ values: [String]) -> Self {
    let array = BSONDocument()
    for (index, value) in values.enumerated() { array.set("\(index)", value) }
    unsafe bson_append_array(handle, key, -1, array.handle)
    return self
  }

  /// Sets an array whose values have several types.
  /// - Parameter values: a document with the members "0", "1" and so on.
  @discardableResult
  func set(_ key: String, array values: BSONDocument) -> Self {
    unsafe bson_append_array(handle, key, -1, values.handle)
    return self
  }

  /// - Parameter milliseconds: milliseconds since 1970, UTC.
  @discardableResult
  func set(_ key: String, date milliseconds: Int64) -> Self {
    unsafe bson_append_date_time(handle, key, -1, milliseconds)
    return self
  }
}

/// A document that belongs to a cursor. It is valid only until the cursor moves.
@safe struct BSONView {
  private let handle: OpaquePointer

  init(borrowing handle: OpaquePointer) { unsafe self.handle = handle }

  /// - Parameter path: dotted path, for example `attributes.0.key`.
  func text(_ path: String) -> String? {
    var length: UInt32 = 0
    guard let start = unsafe cmongo_utf8(handle, path, &length) else { return nil }
    let bytes = unsafe UnsafeRawBufferPointer(start: start, count: Int(length))
    return unsafe String(decoding: bytes, as: UTF8.self)
  }

  func number(_ path: String) -> Int64? {
    var value: Int64 = 0
    return unsafe cmongo_int64(handle, path, &value) ? value : nil
  }
}
