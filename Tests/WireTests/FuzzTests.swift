import BusCore
import ClusterModel
import ClusterTesting
import Testing
import Wire

/// Checks that any input decodes to an envelope or a `WireError`, and that envelopes encode again.
@Suite("Garbage on the wire", .timeLimit(.minutes(5)))
struct FuzzTests {
  @discardableResult
  private static func decode(_ bytes: [UInt8]) -> Bool {
    if let sealed = try? SealedFrame(decoding: bytes) {
      #expect(sealed.encoded() == bytes)
    }
    do throws(WireError) {
      let envelope = try Envelope(decoding: bytes)
      let again = try Envelope(decoding: envelope.encoded())
      // Telemetry is skipped, because NaN is not equal to itself. All other envelopes must be
      // equal.
      if case .telemetry = envelope.body { return true }
      #expect(again == envelope)
      return true
    } catch {
      #expect(!error.reason.isEmpty && !error.description.isEmpty)
      return false
    }
  }

  @Test("random bytes", arguments: 0..<16)
  func random(seed: UInt64) {
    var chance = SeededGenerator(seed: seed)
    for _ in 0..<400 {
      let count = chance.nextInt(in: 0..<300)
      Self.decode(chance.nextBytes(count))
    }
  }

  @Test("every sample, cut off at every byte", arguments: Samples.all.map(\.name))
  func truncated(name: String) throws {
    let envelope = try #require(Samples.all.first { $0.name == name }).envelope
    let bytes = try envelope.encoded()
    for count in bytes.indices { Self.decode(Array(bytes[..<count])) }
    #expect(Self.decode(bytes))
  }

  @Test("every sample, with bytes changed, removed, doubled and swapped", arguments: 0..<16)
  func mutated(seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    for (_, envelope) in Samples.all {
      let bytes = try envelope.encoded()
      for _ in 0..<60 {
        var mutant = bytes
        for _ in 0..<chance.nextInt(in: 1..<6) where !mutant.isEmpty {
          let index = chance.nextInt(in: 0..<mutant.count)
          switch chance.nextInt(in: 0..<5) {
          case 0: mutant[index] = UInt8(truncatingIfNeeded: chance.next())
          case 1: mutant[index] ^= 1 << UInt8(chance.nextInt(in: 0..<8))
          case 2: mutant.remove(at: index)
          case 3: mutant.insert(contentsOf: mutant[index...].prefix(40), at: index)
          default: mutant.swapAt(index, chance.nextInt(in: 0..<mutant.count))
          }
        }
        Self.decode(mutant)
      }
    }
  }

  /// Offsets of a message's length-delimited fields: key, content and end of content.
  private static func fields(_ bytes: ArraySlice<UInt8>) -> [(Int, Int, Int)] {
    var found: [(Int, Int, Int)] = []
    var offset = bytes.startIndex
    func varint() -> UInt64? {
      var value: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 63, by: 7) where offset < bytes.endIndex {
        let byte = bytes[offset]
        offset += 1
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
      }
      return nil
    }
    while offset < bytes.endIndex {
      let start = offset
      guard let key = varint() else { return found }
      switch key & 7 {
      case 0: guard varint() != nil else { return found }
      case 1: offset += 8
      case 5: offset += 4
      case 2:
        guard let length = varint(), length <= UInt64(bytes.endIndex - offset) else { return found }
        found.append((start, offset, offset + Int(length)))
        offset += Int(length)
      default: return found
      }
    }
    return found
  }

  /// A message with one field, at some depth, replaced, repeated, removed or emptied.
  ///
  /// All enclosing lengths are corrected, so that the change reaches the code after the scanner.
  private static func mutant(
    _ bytes: [UInt8], _ chance: inout SeededGenerator, depth: Int = 0
  ) -> [UInt8] {
    let fields = Self.fields(bytes[...])
    guard !fields.isEmpty else { return bytes + chance.nextBytes(2) }
    let (start, content, end) = fields[chance.nextInt(in: 0..<fields.count)]
    let header = Array(bytes[start..<content])
    var inner = Array(bytes[content..<end])
    var count = 1
    switch chance.nextInt(in: 0..<8) {
    case 0: inner = []
    case 1: inner = chance.nextBytes(chance.nextInt(in: 0..<40))
    case 2: count = chance.nextInt(in: 0..<4)
    case 3: inner += inner
    case 4: inner = [UInt8](repeating: 0xFF, count: inner.count)
    default: if depth < 6 { inner = mutant(inner, &chance, depth: depth + 1) }
    }
    var key: UInt64 = 0
    for (index, byte) in header.enumerated() {
      key |= UInt64(byte & 0x7F) << UInt64(7 * index)
      if byte < 0x80 { break }
    }
    // Occasionally the content gets another field number.
    let number = chance.nextInt(in: 0..<10) == 0 ? UInt64(chance.nextInt(in: 1..<80)) : key >> 3
    let field = Fields.message(number, inner)
    var changed = Array(bytes[..<start])
    for _ in 0..<count { changed += field }
    changed += bytes[end...]
    return changed
  }

  @Test("every sample, with fields at any depth changed and all lengths right", arguments: 0..<32)
  func structure(seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed &+ 1_000)
    var read = 0
    for (_, envelope) in Samples.all {
      let bytes = try envelope.encoded()
      for _ in 0..<80 {
        var mutated = bytes
        for _ in 0..<chance.nextInt(in: 1..<4) { mutated = Self.mutant(mutated, &chance) }
        if Self.decode(mutated) { read += 1 }
      }
    }
    // Enough mutants must decode. Otherwise the code after the scanner is not tested.
    #expect(read > 100)
  }

  @Test("every sample, with every byte set to every extreme", arguments: Samples.all.map(\.name))
  func extremes(name: String) throws {
    let envelope = try #require(Samples.all.first { $0.name == name }).envelope
    let bytes = try envelope.encoded()
    for index in bytes.indices {
      for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
        var changed = bytes
        changed[index] = value
        Self.decode(changed)
      }
    }
  }

  @Test("sealed frames, with every byte changed and cut off everywhere")
  func sealed() {
    let bytes = Samples.sealed.encoded()
    for index in bytes.indices {
      for value in [0, 0x7F, 0xFF] as [UInt8] {
        var changed = bytes
        changed[index] = value
        Self.decode(changed)
      }
      Self.decode(Array(bytes[..<index]))
    }
  }

  @Test("deeply nested garbage in every field", arguments: UInt64(1)...80)
  func nested(field: UInt64) {
    var bytes: [UInt8] = []
    // Each level wraps the previous one, 400 levels deep.
    for _ in 0..<400 { bytes = Fields.message(field, bytes) }
    Self.decode(bytes)
    Self.decode(Fields.header + bytes)
    Self.decode(Fields.header + Fields.message(41, Fields.message(3, bytes)))
    Self.decode(Fields.header + Fields.message(42, Fields.message(1, bytes)))
    Self.decode(Fields.header + Fields.message(43, Fields.message(1, bytes)))
  }

  @Test("a megabyte of one byte", arguments: [UInt8(0), 0x0A, 0x7F, 0x80, 0xFF, 0x1A, 0x12])
  func filled(byte: UInt8) {
    #expect(!Self.decode([UInt8](repeating: byte, count: 1 << 20)))
    #expect(!Self.decode(Fields.header + [UInt8](repeating: byte, count: 1 << 19)))
  }

  @Test("lengths that lie")
  func lengths() {
    for length in [UInt64(1), 127, 1 << 20, 1 << 31, 1 << 32, 1 << 62, .max] {
      for field in [UInt64(5), 11, 20, 22, 32, 42, 43, 50, 70] {
        let lie = Fields.varint(field << 3 | 2) + Fields.varint(length)
        #expect(!Self.decode(Fields.header + lie))
        #expect(!Self.decode(Fields.header + lie + [0, 0]))
      }
    }
  }
}
