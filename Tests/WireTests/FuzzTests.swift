import ClusterModel
import ClusterTesting
import Testing
import Wire

/// Whatever arrives is an envelope or a `WireError`, and what is an envelope can be sent on.
@Suite("Garbage on the wire", .timeLimit(.minutes(5)))
struct FuzzTests {
  @discardableResult
  private static func decode(_ bytes: [UInt8]) -> Bool {
    if let sealed = try? SealedFrame(decoding: bytes) {
      #expect((try? SealedFrame(decoding: sealed.encoded())) == sealed)
    }
    do throws(WireError) {
      let envelope = try Envelope(decoding: bytes)
      let again = try Envelope(decoding: envelope.encoded())
      // NaN is not equal to itself; everything else must be.
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

  @Test("deeply nested garbage in every field", arguments: UInt64(1)...80)
  func nested(field: UInt64) {
    var bytes: [UInt8] = []
    // Outermost last, so that each level wraps the one before: 400 levels.
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
