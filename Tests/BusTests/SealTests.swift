import BusCore
import ClusterModel
import Foundation
import Testing
import Wire

@testable import Bus

@Suite("Sealed frames")
struct SealTests {
  static let key = [UInt8](repeating: 42, count: 32)
  static let registryMailbox = "tcp://10.0.0.1:7400"

  /// One end of the bus: a name, an address and a key pair.
  struct End {
    let id: PeerID
    let mailbox: String
    let seal: FrameSeal
    var recipient: Recipient { Recipient(id: id, key: seal.publicKey) }

    init(
      _ name: String, _ incarnation: UInt64 = 1, identity: BusIdentity = BusIdentity(),
      key: [UInt8] = SealTests.key
    ) throws {
      id = PeerID(name: name, incarnation: incarnation)
      mailbox = name == "registry" ? SealTests.registryMailbox : "tcp://10.0.0.2:\(name.utf8.count)"
      seal = try FrameSeal(
        clusterKey: key, own: id, identity: identity, mailbox: mailbox,
        registryMailbox: SealTests.registryMailbox)
    }

    func frame(_ bytes: [UInt8], to other: End) throws -> [UInt8] {
      seal.know(other.mailbox, other.recipient)
      return try #require(seal.close(bytes, to: other.mailbox))
    }
  }

  private static func reason(_ opened: FrameSeal.Opened) -> String {
    switch opened {
    case .opened: "opened"
    case .refused(let reason): reason
    }
  }

  @Test("a sealed frame is opened once by its recipient, who learns the sender")
  func once() throws {
    let alice = try End("alice")
    let robert = try End("robert")
    let frame = try alice.frame([1, 2, 3], to: robert)
    guard case .opened(let bytes, let sender) = robert.seal.open(frame) else {
      Issue.record("was not opened")
      return
    }
    #expect(bytes == [1, 2, 3])
    #expect(sender == SealedSender(id: alice.id, key: alice.seal.publicKey))
    #expect(Self.reason(robert.seal.open(frame)) == "replayed")
  }

  @Test("a frame for another process, under another key, or changed anywhere stays closed")
  func closed() throws {
    let alice = try End("alice")
    let robert = try End("robert")
    let frame = try alice.frame(Array("hello".utf8), to: robert)
    #expect(Self.reason(try End("eve").seal.open(frame)) == "seal_broken")
    let stranger = try End("robert", key: [UInt8](repeating: 43, count: 32))
    #expect(Self.reason(stranger.seal.open(frame)) == "seal_broken")
    // The proof is not changed, because only the listener checks it, before the body arrives.
    let start = try SealedFrame(decoding: frame).header.bytes.count
    for index in frame.indices where !(start..<start + SealedFrame.tagBytes).contains(index) {
      var changed = frame
      changed[index] ^= 1
      let reason = Self.reason(robert.seal.open(changed))
      // The lowest byte of the counter becomes 0, which no valid frame has.
      let isZero = index == 19 && reason == "replayed"
      #expect(
        isZero || ["seal_broken", "unsealed"].contains(reason), "byte \(index): \(reason)")
    }
  }

  @Test("every cut of a frame stays closed")
  func cut() throws {
    let alice = try End("alice")
    let robert = try End("robert")
    let frame = try alice.frame(Array("hello".utf8), to: robert)
    for count in frame.indices {
      #expect(Self.reason(robert.seal.open(Array(frame[..<count]))) != "opened")
    }
    #expect(Self.reason(robert.seal.open(frame)) == "opened")
  }

  @Test("a header proves its sender before the body is there, and not after it was received")
  func header() throws {
    let alice = try End("alice")
    let robert = try End("robert")
    let frame = try SealedFrame(decoding: alice.frame([1], to: robert))
    #expect(robert.seal.refusal(of: frame.header, proof: frame.proof) == nil)
    for index in frame.proof.indices {
      var proof = frame.proof
      proof[index] ^= 1
      #expect(robert.seal.refusal(of: frame.header, proof: proof) == "seal_broken")
    }
    var other = frame.header
    other.counter += 1
    #expect(robert.seal.refusal(of: other, proof: frame.proof) == "seal_broken")
    #expect(Self.reason(robert.seal.open(frame.encoded())) == "opened")
    #expect(robert.seal.refusal(of: frame.header, proof: frame.proof) == "replayed")
  }

  @Test("the holder of the cluster key cannot put on another's name or key")
  func impersonation() throws {
    let alice = try End("alice")
    let robert = try End("robert")
    let sealed = try SealedFrame(decoding: alice.frame([1], to: robert))
    for other in [
      PeerID(name: "mallory", incarnation: 1), PeerID(name: "alice", incarnation: 9),
    ] {
      var forged = sealed
      forged.header.sender = other
      #expect(Self.reason(robert.seal.open(forged.encoded())) == "seal_broken")
    }
    // Mallory has a key pair of its own. So the frame opens under that key and not under alice's.
    let mallory = try End("alice")
    guard case .opened(_, let sender) = robert.seal.open(try mallory.frame([1], to: robert)) else {
      Issue.record("was not opened")
      return
    }
    #expect(sender.key == mallory.seal.publicKey && sender.key != alice.seal.publicKey)
  }

  @Test("a frame sealed for a process cannot be opened by its successor at the same address")
  func restart() throws {
    let identity = BusIdentity()
    let alice = try End("alice")
    let before = try End("registry", 1, identity: identity)
    let after = try End("registry", 2, identity: identity)
    let hello = try alice.frame([1], to: before)
    #expect(Self.reason(after.seal.open(hello)) == "seal_broken")
    #expect(Self.reason(before.seal.open(hello)) == "opened")
  }

  @Test("to an unknown registry a process introduces itself, to any other mailbox it sends nothing")
  func introduction() throws {
    let alice = try End("alice")
    let registry = try End("registry")
    let hello = try #require(alice.seal.close([1], to: registry.mailbox))
    guard case .opened([1], let sender) = registry.seal.open(hello) else {
      Issue.record("was not opened")
      return
    }
    #expect(sender.isIntroduction && sender.id == alice.id)
    #expect(alice.seal.close([1], to: "tcp://10.0.0.9:1") == nil)
    alice.seal.know(registry.mailbox, registry.recipient)
    let second = try #require(alice.seal.close([1], to: registry.mailbox))
    guard case .opened(_, let known) = registry.seal.open(second) else {
      Issue.record("was not opened")
      return
    }
    #expect(!known.isIntroduction)
    alice.seal.know(registry.mailbox, nil)
    let third = try SealedFrame(decoding: #require(alice.seal.close([1], to: registry.mailbox)))
    #expect(third.header.isIntroduction)
  }

  @Test("bare envelopes and garbage are unsealed")
  func unsealed() throws {
    let robert = try End("robert")
    let envelope = Envelope(messageID: 1, shape: .cast, sender: robert.id, body: .ack)
    for frame in [try envelope.encoded(), [], [0], [UInt8](repeating: 0xFF, count: 5_000)] {
      #expect(Self.reason(robert.seal.open(frame)) == "unsealed")
    }
  }

  @Test("a flood of new identities does not make a listed peer's frames replayable")
  func windows() throws {
    let alice = try End("alice")
    let robert = try End("robert")
    robert.seal.know(alice.mailbox, alice.recipient)
    let frame = try alice.frame([1], to: robert)
    #expect(Self.reason(robert.seal.open(frame)) == "opened")
    for index in 0..<(FrameSeal.maximumSenders + 10) {
      let flood = try End("flood", UInt64(index + 1))
      _ = robert.seal.open(try flood.frame([1], to: robert))
    }
    #expect(Self.reason(robert.seal.open(frame)) == "replayed")
  }

  @Test("a cluster key of less than sixteen bytes is refused with what to do")
  func shortKey() {
    let failure = #expect(throws: Failure.self) {
      try End("alice", key: [UInt8](repeating: 1, count: 15))
    }
    #expect(failure?.message.contains("TUTTI_CLUSTER_KEY") == true)
  }

  @Test("a key pair outlives its process in a file of mode 0600, and no other file is one")
  func identityFile() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "bus-key").path
    let made = try BusIdentity(file: path)
    #expect(try BusIdentity(file: path).publicKey == made.publicKey)
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    #expect(throws: Failure.self) { try BusIdentity(file: path) }
    let link = folder.appending(path: "link").path
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
    #expect(throws: Failure.self) { try BusIdentity(file: link) }
    let short = folder.appending(path: "short").path
    _ = FileManager.default.createFile(
      atPath: short, contents: Data([1]), attributes: [.posixPermissions: 0o600])
    #expect(throws: Failure.self) { try BusIdentity(file: short) }
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
}
