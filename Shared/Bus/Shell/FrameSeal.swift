import Crypto
import Synchronization
public import ClusterModel
import Foundation
import Wire

/// Encrypts and authenticates frames for `tcp://`: ChaCha20-Poly1305 (RFC 8439) under a key per
/// sender incarnation, derived from the cluster key by HKDF-SHA256 (RFC 5869). The nonce is the
/// sender's counter; the recipient's address is authenticated, so that a frame for one process
/// cannot be replayed to another; a window of counters refuses replays to the same one.
public final class FrameSeal: Sendable {
  enum Opened {
    case opened([UInt8])
    case refused(reason: String)
  }

  /// Senders whose keys and windows are kept; each proved that it holds the cluster key.
  static let maximumSenders = 512

  private struct Sender {
    let key: SymmetricKey
    /// By recipient: a mailbox and a publisher's subscription do not keep each other's order.
    var windows: [String: ReplayWindow] = [:]
    var lastUse: UInt64 = 0
  }

  private struct State {
    var counter: UInt64 = 0
    var uses: UInt64 = 0
    var senders: [PeerID: Sender] = [:]
  }

  private let clusterKey: SymmetricKey
  private let own: PeerID
  private let ownKey: SymmetricKey
  private let state = Mutex(State())

  /// - Parameter clusterKey: at least 16 bytes.
  public init(clusterKey: [UInt8], own: PeerID) throws(Failure) {
    guard clusterKey.count >= 16 else {
      throw Failure(
        .invalidRequest,
        "tcp:// needs a cluster key of at least 16 bytes: set TUTTI_CLUSTER_KEY, for example to the output of openssl rand -hex 32"
      )
    }
    self.clusterKey = SymmetricKey(data: clusterKey)
    self.own = own
    self.ownKey = Self.derive(self.clusterKey, own)
  }

  func close(_ frame: [UInt8], recipient: String) -> [UInt8] {
    let counter = state.withLock { state in
      state.counter += 1
      return state.counter
    }
    let box = try? ChaChaPoly.seal(
      frame, using: ownKey, nonce: Self.nonce(counter),
      authenticating: Self.authenticated(own, counter, recipient))
    guard let box else { return [] }
    let sealed = SealedFrame(
      sender: own, counter: counter, ciphertext: [UInt8](box.ciphertext) + [UInt8](box.tag))
    return (try? sealed.encoded()) ?? []
  }

  func open(_ bytes: [UInt8], recipient: String) -> Opened {
    guard let sealed = try? SealedFrame(decoding: bytes), sealed.ciphertext.count >= 16 else {
      return .refused(reason: "unsealed")
    }
    let known = state.withLock { state in state.senders[sealed.sender] }
    if let window = known?.windows[recipient], !window.admits(sealed.counter) {
      return .refused(reason: "replayed")
    }
    let key = known?.key ?? Self.derive(clusterKey, sealed.sender)
    guard
      let box = try? ChaChaPoly.SealedBox(
        nonce: Self.nonce(sealed.counter), ciphertext: sealed.ciphertext.dropLast(16),
        tag: sealed.ciphertext.suffix(16)),
      let frame = try? ChaChaPoly.open(
        box, using: key,
        authenticating: Self.authenticated(sealed.sender, sealed.counter, recipient))
    else { return .refused(reason: "seal_broken") }
    let fresh = state.withLock { state -> Bool in
      state.uses += 1
      if state.senders[sealed.sender] == nil {
        if state.senders.count >= Self.maximumSenders,
          let oldest = state.senders.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
          state.senders[oldest.key] = nil
        }
        state.senders[sealed.sender] = Sender(key: key)
      }
      state.senders[sealed.sender]?.lastUse = state.uses
      return state.senders[sealed.sender]?.windows[recipient, default: ReplayWindow()]
        .accept(sealed.counter) ?? false
    }
    return fresh ? .opened([UInt8](frame)) : .refused(reason: "replayed")
  }

  private static func derive(_ key: SymmetricKey, _ peer: PeerID) -> SymmetricKey {
    HKDF<SHA256>.deriveKey(
      inputKeyMaterial: key, salt: Data("tutti bus v1".utf8),
      info: Data("\(peer.name)\u{0}\(peer.incarnation)".utf8), outputByteCount: 32)
  }

  private static func nonce(_ counter: UInt64) throws -> ChaChaPoly.Nonce {
    var bytes = [UInt8](repeating: 0, count: 4)
    for shift in stride(from: 56, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: counter >> UInt64(shift)))
    }
    return try ChaChaPoly.Nonce(data: bytes)
  }

  private static func authenticated(_ sender: PeerID, _ counter: UInt64, _ recipient: String)
    -> Data
  {
    Data("1\u{0}\(sender.name)\u{0}\(sender.incarnation)\u{0}\(counter)\u{0}\(recipient)".utf8)
  }
}

/// Which counters of a sender were seen: the highest, and a bitmap of the 1,024 below it. Frames to
/// several recipients share one counter, so gaps are normal; anything seen, or older than the
/// window, is refused.
struct ReplayWindow: Sendable {
  static let width: UInt64 = 1_024

  private var highest: UInt64 = 0
  private var seen = [UInt64](repeating: 0, count: Int(ReplayWindow.width / 64))

  func admits(_ counter: UInt64) -> Bool {
    if counter == 0 { return false }
    if counter > highest { return true }
    if highest - counter >= Self.width { return false }
    return seen[slot(counter)] & bit(counter) == 0
  }

  /// - Returns: whether the counter was new; it no longer is.
  mutating func accept(_ counter: UInt64) -> Bool {
    guard admits(counter) else { return false }
    if counter > highest {
      if counter - highest >= Self.width {
        seen = [UInt64](repeating: 0, count: seen.count)
      } else {
        for passed in (highest + 1)...counter { seen[slot(passed)] &= ~bit(passed) }
      }
      highest = counter
    }
    seen[slot(counter)] |= bit(counter)
    return true
  }

  private func slot(_ counter: UInt64) -> Int { Int(counter % Self.width) / 64 }
  private func bit(_ counter: UInt64) -> UInt64 { 1 << (counter % 64) }
}
