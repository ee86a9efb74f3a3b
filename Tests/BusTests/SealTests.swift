import ClusterModel
import Testing
import Wire

@testable import Bus

@Suite("Sealed frames")
struct SealTests {
  static let key = [UInt8](repeating: 42, count: 32)
  static let alice = PeerID(name: "alice", incarnation: 1)
  static let bob = PeerID(name: "bob", incarnation: 2)
  static let mailbox = "tcp://10.0.0.2:7400"

  private static func seal(_ peer: PeerID, key: [UInt8] = key) throws -> FrameSeal {
    try FrameSeal(clusterKey: key, own: peer)
  }

  private static func reason(_ opened: FrameSeal.Opened) -> String {
    switch opened {
    case .opened: "opened"
    case .refused(let reason): reason
    }
  }

  @Test("what one seals another opens, once")
  func once() throws {
    let alice = try Self.seal(Self.alice)
    let bob = try Self.seal(Self.bob)
    let frame = alice.close([1, 2, 3], recipient: Self.mailbox)
    #expect(!frame.isEmpty)
    guard case .opened(let bytes) = bob.open(frame, recipient: Self.mailbox) else {
      Issue.record("was not opened")
      return
    }
    #expect(bytes == [1, 2, 3])
    #expect(Self.reason(bob.open(frame, recipient: Self.mailbox)) == "replayed")
  }

  @Test("a frame for somebody else, under another key, or changed anywhere stays closed")
  func closed() throws {
    let alice = try Self.seal(Self.alice)
    let bob = try Self.seal(Self.bob)
    let frame = alice.close(Array("hello".utf8), recipient: Self.mailbox)
    #expect(Self.reason(bob.open(frame, recipient: "tcp://10.0.0.3:7400")) == "seal_broken")
    let stranger = try Self.seal(Self.bob, key: [UInt8](repeating: 43, count: 32))
    #expect(Self.reason(stranger.open(frame, recipient: Self.mailbox)) == "seal_broken")
    for index in frame.indices {
      var changed = frame
      changed[index] ^= 1
      let reason = Self.reason(bob.open(changed, recipient: Self.mailbox))
      #expect(["seal_broken", "unsealed"].contains(reason), "byte \(index): \(reason)")
    }
    for count in frame.indices {
      let cut = Array(frame[..<count])
      #expect(Self.reason(bob.open(cut, recipient: Self.mailbox)) != "opened")
    }
    #expect(Self.reason(bob.open(frame, recipient: Self.mailbox)) == "opened")
  }

  @Test("the sender's name and incarnation cannot be put on")
  func impersonation() throws {
    let alice = try Self.seal(Self.alice)
    let bob = try Self.seal(Self.bob)
    let frame = alice.close([1], recipient: Self.mailbox)
    let sealed = try SealedFrame(decoding: frame)
    for other in [
      PeerID(name: "mallory", incarnation: 1), PeerID(name: "alice", incarnation: 9),
    ] {
      let forged = SealedFrame(
        sender: other, counter: sealed.counter, ciphertext: sealed.ciphertext)
      #expect(
        Self.reason(bob.open(try forged.encoded(), recipient: Self.mailbox)) == "seal_broken")
    }
  }

  @Test("bare envelopes and garbage are unsealed")
  func unsealed() throws {
    let bob = try Self.seal(Self.bob)
    let envelope = Envelope(messageID: 1, shape: .cast, sender: Self.alice, body: .ack)
    for frame in [try envelope.encoded(), [], [0], [UInt8](repeating: 0xFF, count: 5_000)] {
      #expect(Self.reason(bob.open(frame, recipient: Self.mailbox)) == "unsealed")
    }
  }

  @Test("a cluster key of less than sixteen bytes is refused with what to do")
  func shortKey() {
    let failure = #expect(throws: Failure.self) {
      try Self.seal(Self.alice, key: [UInt8](repeating: 1, count: 15))
    }
    #expect(failure?.message.contains("TUTTI_CLUSTER_KEY") == true)
  }

  @Test("the window takes each counter once, in any order, within its width")
  func window() {
    var window = ReplayWindow()
    let steps: [(UInt64, Bool)] = [
      (0, false), (5, true), (5, false), (3, true), (4, true), (3, false), (1_000, true),
      (2, true), (1, true), (1_028, true), (4, false), (5, false), (6, true), (1 << 40, true),
      (1_028, false), ((1 << 40) - 1_023, true), ((1 << 40) - 1_024, false), (.max, true),
      (.max, false),
    ]
    for (counter, isNew) in steps {
      #expect(window.admits(counter) == isNew, "\(counter)")
      let taken = window.accept(counter)
      #expect(taken == isNew, "\(counter)")
    }
  }

  @Test("mail and publications of one sender have windows of their own")
  func channels() throws {
    let alice = try Self.seal(Self.alice)
    let bob = try Self.seal(Self.bob)
    let early = alice.close([1], recipient: Self.mailbox)
    for _ in 0..<2_000 {
      let frame = alice.close([2], recipient: "tcp://10.0.0.1:7401")
      #expect(Self.reason(bob.open(frame, recipient: "tcp://10.0.0.1:7401")) == "opened")
    }
    #expect(Self.reason(bob.open(early, recipient: Self.mailbox)) == "opened")
  }
}
