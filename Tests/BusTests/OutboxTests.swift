import BusCore
import ClusterModel
import ClusterTesting
import Limits
import Testing
import Wire

@testable import Bus

@Suite("Outbox and fragments")
struct OutboxTests {
  @Test("control leaves before data and data before telemetry, each in order")
  func lanes() {
    var outbox = Outbox(laneBytes: 100)
    for (byte, lane) in [(1, Lane.telemetry), (2, .data), (3, .control), (4, .data)] {
      let taken = outbox.push([UInt8(byte)], lane)
      #expect(taken)
    }
    let left = (0..<5).map { _ in outbox.pop() }
    #expect(left == [[3], [2], [4], [1], nil])
    #expect(outbox.isEmpty)
  }

  @Test("a full lane refuses, the others go on")
  func bounds() {
    var outbox = Outbox(laneBytes: 10)
    let ten = [UInt8](repeating: 0, count: 10)
    let taken = [
      outbox.push(ten, .telemetry), outbox.push([0], .telemetry), outbox.push(ten, .data),
      outbox.push([0], .data), outbox.push([1], .control),
    ]
    #expect(taken == [true, false, true, false, true])
    #expect(outbox.bytes == 21)
    let left = [outbox.pop(), outbox.pop()]
    #expect(left == [[1], ten])
    let again = outbox.push([0], .data)
    #expect(again)
  }

  @Test("frames leave in order while the outbox is never empty", arguments: 0..<4)
  func steady(seed: UInt64) {
    var chance = SeededGenerator(seed: seed)
    var outbox = Outbox(laneBytes: 1 << 20)
    var waiting: [[UInt8]] = []
    var bytes = 0
    for _ in 0..<5_000 {
      if waiting.count < 3 || (waiting.count < 700 && chance.nextInt(in: 0..<2) == 0) {
        let frame = chance.nextBytes(chance.nextInt(in: 1..<9))
        let taken = outbox.push(frame, .data)
        #expect(taken)
        waiting.append(frame)
        bytes += frame.count
      } else {
        let frame = waiting.removeFirst()
        let left = outbox.pop()
        #expect(left == frame)
        bytes -= frame.count
      }
      #expect(outbox.bytes == bytes)
    }
  }

  @Test("one sender leaves room for the casts of others, and gets its own room back")
  func casts() {
    var shares = CastShares()
    let flood = PeerID(name: "flood", incarnation: 1)
    let began = (0..<2_000).count { _ in shares.begin(flood) }
    #expect(began == Limits.busCastShare.value)
    let other = PeerID(name: "other", incarnation: 1)
    let mayBegin = shares.begin(other)
    #expect(mayBegin)
    for _ in 0..<began { shares.end(flood) }
    shares.end(flood)
    let mayBeginAgain = shares.begin(flood)
    #expect(mayBeginAgain)
  }

  // MARK: - Fragments

  static let limits: BusLimits = {
    var limits = BusLimits.standard
    limits.frameBytes = 8_192
    limits.messageBytes = 100_000
    limits.reassemblyBytes = 150_000
    return limits
  }()

  static func envelope(_ id: UInt64, _ bytes: Int = 0) -> Envelope {
    Envelope(
      messageID: id, shape: .call, sender: PeerID(name: "a", incarnation: 1),
      body: .fragment(
        Body.Fragment(index: 0, count: 1, data: [UInt8](repeating: 7, count: bytes))))
  }

  @Test("pieces in any order, some twice, make the message again", arguments: 0..<8)
  func pieces(seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    let envelope = Self.envelope(3)
    let packed = chance.nextBytes(chance.nextInt(in: 5_000..<90_000))
    var pieces = try Reassembly.split(packed, of: envelope, limits: Self.limits)
    #expect(try pieces.allSatisfy { try $0.encoded().count <= Self.limits.frameBytes })
    pieces.shuffle(using: &chance)
    var reassembly = Reassembly(limits: Self.limits)
    for (index, piece) in pieces.enumerated() {
      guard case .fragment(let fragment) = piece.body else {
        Issue.record("not a fragment")
        return
      }
      let isLast = index == pieces.count - 1
      let outcome = reassembly.add(fragment, of: Reassembly.Key(piece), now: .zero)
      #expect(outcome == (isLast ? .complete(packed) : .waiting))
      if !isLast {
        #expect(reassembly.add(fragment, of: Reassembly.Key(piece), now: .zero) == .waiting)
      }
    }
  }

  @Test("too large a message is refused when it is cut and when it is put together")
  func tooLarge() throws {
    #expect(throws: Failure.self) {
      try Reassembly.split(
        [UInt8](repeating: 0, count: 100_001), of: Self.envelope(1), limits: Self.limits)
    }
    var reassembly = Reassembly(limits: Self.limits)
    var refused = false
    for index in 0..<14 as Range<UInt32> {
      let piece = Body.Fragment(
        index: index, count: 14, data: [UInt8](repeating: 0, count: 8_000))
      if case .refused(let reason) = reassembly.add(
        piece, of: Reassembly.Key(Self.envelope(1)), now: .zero)
      {
        refused = true
        #expect(reason == "too_large")
        break
      }
    }
    #expect(refused)
  }

  @Test("unfinished messages are bounded in bytes, number and age")
  func unfinished() {
    var reassembly = Reassembly(limits: Self.limits)
    func add(_ id: UInt64, _ bytes: Int) -> Reassembly.Outcome {
      reassembly.add(
        Body.Fragment(index: 0, count: 2, data: [UInt8](repeating: 0, count: bytes)),
        of: Reassembly.Key(Self.envelope(id)), now: .zero)
    }
    #expect(add(1, 80_000) == .waiting)
    #expect(add(2, 60_000) == .waiting)
    #expect(add(3, 60_000) == .refused(reason: "reassembly_full"))
    let late = Instant(sinceStart: .seconds(31))
    #expect(reassembly.expire(now: late) == 2)
    #expect(add(4, 80_000) == .waiting)
    var refused = 0
    for id in 10..<1_000 as Range<UInt64> where add(id, 1) != .waiting { refused += 1 }
    // One sender may have at most a quarter of all unfinished messages.
    #expect(refused == 990 - 63)
  }

  @Test("pieces that contradict each other or themselves are refused")
  func nonsense() {
    var reassembly = Reassembly(limits: Self.limits)
    let key = Reassembly.Key(Self.envelope(1))
    for (index, count) in [(0, 0), (1, 1), (5, 2), (0, UInt32.max), (UInt32.max, UInt32.max)] {
      #expect(
        reassembly.add(Body.Fragment(index: index, count: count, data: []), of: key, now: .zero)
          == .refused(reason: "bad_fragment"))
    }
    _ = reassembly.add(Body.Fragment(index: 0, count: 2, data: [1]), of: key, now: .zero)
    #expect(
      reassembly.add(Body.Fragment(index: 2, count: 3, data: [1]), of: key, now: .zero)
        == .refused(reason: "bad_fragment"))
  }
}
