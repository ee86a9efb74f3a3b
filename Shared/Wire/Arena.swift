import CProtobufC

/// Memory of one message while it is packed. protobuf-c keeps pointers into this memory, so all of
/// it must live until packing ends. `deinit` frees it.
@unsafe
final class Arena {
  private var blocks: [UnsafeMutableRawBufferPointer] = unsafe []
  private var used = 0

  /// Minimum bytes of one block: enough for the envelope of one token.
  private static let blockBytes = 2048

  deinit {
    while let block = unsafe blocks.popLast() { unsafe block.deallocate() }
  }

  /// - Returns: uninitialised memory, aligned for every C type.
  private func allocate(_ bytes: Int) -> UnsafeMutableRawPointer {
    let size = (bytes + 15) & ~15
    if let block = unsafe blocks.last, unsafe used + size <= block.count {
      defer { unsafe used += size }
      return unsafe block.baseAddress! + used
    }
    let block = unsafe UnsafeMutableRawBufferPointer.allocate(
      byteCount: max(Self.blockBytes, size), alignment: 16)
    unsafe blocks.append(block)
    unsafe used = size
    return block.baseAddress!
  }

  /// - Parameter initialize: the generated `…__init` function.
  func make<Message>(
    _ initialize: (UnsafeMutablePointer<Message>?) -> Void
  ) -> UnsafeMutablePointer<Message> {
    let pointer = unsafe allocate(MemoryLayout<Message>.stride)
      .bindMemory(to: Message.self, capacity: 1)
    unsafe initialize(pointer)
    return unsafe pointer
  }

  func bytes(_ value: [UInt8]) -> ProtobufCBinaryData {
    guard !value.isEmpty else { return unsafe ProtobufCBinaryData() }
    let data = unsafe allocate(value.count)
    unsafe value.withUnsafeBytes {
      unsafe data.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
    }
    return unsafe ProtobufCBinaryData(
      len: value.count, data: data.assumingMemoryBound(to: UInt8.self))
  }

  func text(_ value: String) -> ProtobufCBinaryData {
    var value = value
    return value.withUTF8 { utf8 in
      guard let base = utf8.baseAddress, utf8.count > 0 else {
        return unsafe ProtobufCBinaryData()
      }
      let data = unsafe allocate(utf8.count)
      unsafe data.copyMemory(from: base, byteCount: utf8.count)
      return unsafe ProtobufCBinaryData(
        len: utf8.count, data: data.assumingMemoryBound(to: UInt8.self))
    }
  }

  func array<Source, Element>(
    _ values: [Source], _ convert: (Source) -> Element
  ) -> UnsafeMutablePointer<Element>? {
    guard !values.isEmpty else { return nil }
    let pointer = unsafe allocate(MemoryLayout<Element>.stride * values.count)
      .bindMemory(to: Element.self, capacity: values.count)
    for (index, value) in values.enumerated() {
      unsafe (pointer + index).initialize(to: convert(value))
    }
    return unsafe pointer
  }
}

extension UInt32 {
  /// Encodes `nil` as 0. Therefore a value of 0 also arrives as `nil`.
  init(wire value: Int?) { self = UInt32(clamping: value ?? 0) }
}

extension Optional where Wrapped == Int {
  init(wire value: UInt32) { self = value == 0 ? nil : Int(value) }
}
