import CCompression

/// Result of one step of a decompressor.
enum DecodingStep {
  /// Decoded bytes, and the number of input bytes used.
  case more([UInt8], used: Int)
  /// As `more`, but the compressed data is complete.
  case end([UInt8], used: Int)
  case broken
}

/// Owner of a zlib stream.
@safe final class ZlibStream {
  private let stream: UnsafeMutablePointer<z_stream>

  /// - Parameter windowBits: as in zlib's `inflateInit2`.
  /// - Returns: `nil` if there is no memory.
  init?(windowBits: CInt) {
    guard let stream = unsafe ccz_open(windowBits) else { return nil }
    unsafe self.stream = stream
  }

  deinit { unsafe ccz_close(stream) }

  /// Prepares the stream for the next member of the same data.
  func reset() { unsafe ccz_reset(stream) }

  func step(_ input: ArraySlice<UInt8>, limit: Int) -> DecodingStep {
    unsafe decode(input, limit) { unsafe ccz_step(stream, $0, $1, $2, $3) }
  }
}

/// Owner of a zstd context.
@safe final class ZstdStream {
  private let context: OpaquePointer

  /// - Parameter windowLog: the largest window, as a power of two.
  /// - Returns: `nil` if there is no memory.
  init?(windowLog: CInt) {
    guard let context = unsafe ccs_open(windowLog) else { return nil }
    unsafe self.context = context
  }

  deinit { unsafe ccs_close(context) }

  func step(_ input: ArraySlice<UInt8>, limit: Int) -> DecodingStep {
    unsafe decode(input, limit) { unsafe ccs_step(context, $0, $1, $2, $3) }
  }
}

private func decode(
  _ input: ArraySlice<UInt8>, _ limit: Int,
  _ step: (
    UnsafePointer<UInt8>, UnsafeMutablePointer<Int>, UnsafeMutablePointer<UInt8>,
    UnsafeMutablePointer<Int>
  ) -> CInt
) -> DecodingStep {
  var result = CInt(CC_MORE.rawValue)
  var used = input.count
  // A decoder with output that did not fit needs no input, but it needs a valid pointer.
  let nothing: [UInt8] = [0]
  let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { output, count in
    var written = limit
    unsafe (input.isEmpty ? nothing[...] : input).withUnsafeBufferPointer { input in
      guard let from = input.baseAddress, let to = output.baseAddress else {
        (used, written) = (0, 0)
        return
      }
      result = unsafe step(from, &used, to, &written)
    }
    count = written
  }
  switch result {
  case CInt(CC_END.rawValue): return .end(bytes, used: used)
  case CInt(CC_MORE.rawValue): return .more(bytes, used: used)
  default: return .broken
  }
}
