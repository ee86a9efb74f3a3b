import BusCore
import ClusterModel
import Crypto
import Foundation
import Limits
import Synchronization
import Wire

/// Encrypts and authenticates frames for `tcp://`.
///
/// The cipher is ChaCha20-Poly1305 (RFC 8439). Each pair of processes has its own key, derived by
/// HKDF-SHA256 (RFC 5869) from the cluster key, an X25519 exchange (RFC 7748) and both
/// incarnations. So a frame can only come from the process whose public key it names. It cannot be
/// replayed to another process or to a later incarnation; a window of counters refuses replays to
/// the same incarnation.
///
/// A process that does not know the registry's public key yet introduces itself under the cluster
/// key alone.
final class FrameSeal: Sendable {
  enum Opened {
    case opened([UInt8], SealedSender)
    case refused(reason: String)
  }

  /// Maximum senders whose keys and windows are kept. Each sender has proved that it holds the
  /// cluster key.
  static let maximumSenders = Limits.busRememberedSenders.value

  private struct Sender {
    let key: SymmetricKey
    var window = ReplayWindow()
    var lastUse: UInt64 = 0
  }

  /// Sender and kind of a frame; each combination has its own replay window.
  private struct SenderKey: Hashable {
    let id: PeerID
    let key: [UInt8]
    let isIntroduction: Bool

    init(_ header: SealedFrame.Header) {
      id = header.sender
      key = header.key
      isIntroduction = header.isIntroduction
    }
  }

  private struct State {
    var counter: UInt64 = 0
    var uses: UInt64 = 0
    var senders: [SenderKey: Sender] = [:]
    var recipients: [String: Recipient] = [:]
    /// Keys of recipients. Each is derived when the first frame is sealed with it.
    var recipientKeys: [Recipient: SymmetricKey] = [:]
    var known: Set<[UInt8]> = []
  }

  private let clusterKey: [UInt8]
  private let own: PeerID
  private let identity: BusIdentity
  private let mailbox: String
  private let registryMailbox: String
  private let introductionKey: SymmetricKey
  private let state = Mutex(State())

  /// - Parameters:
  ///   - clusterKey: at least 16 bytes.
  ///   - mailbox: the mailbox of this process, as peers address it.
  ///   - registryMailbox: the only mailbox to which this process introduces itself.
  init(
    clusterKey: [UInt8], own: PeerID, identity: BusIdentity = BusIdentity(), mailbox: String,
    registryMailbox: String
  ) throws(Failure) {
    guard clusterKey.count >= 16 else {
      throw Failure(
        .invalidRequest,
        "tcp:// needs a cluster key of at least 16 bytes: set TUTTI_CLUSTER_KEY, for example to the output of openssl rand -hex 32"
      )
    }
    self.clusterKey = clusterKey
    self.own = own
    self.identity = identity
    self.mailbox = mailbox
    self.registryMailbox = registryMailbox
    introductionKey = Self.derive(
      clusterKey, shared: [], sender: own, senderKey: identity.publicKey, recipient: nil)
  }

  var publicKey: [UInt8] { identity.publicKey }

  /// Sets the process that later frames to the mailbox are sealed for.
  /// - Returns: whether the mailbox changed from one known process to another.
  @discardableResult
  func know(_ mailbox: String, _ recipient: Recipient?) -> Bool {
    state.withLock { state in
      let former = state.recipients[mailbox]
      guard former != recipient else { return false }
      if let former { state.recipientKeys[former] = nil }
      state.recipients[mailbox] = recipient
      state.known = Set(state.recipients.values.map(\.key))
      return former != nil && recipient != nil
    }
  }

  /// Whether frames are sealed for the holder of this key.
  func isKnown(_ key: [UInt8]) -> Bool { state.withLock { $0.known.contains(key) } }

  /// - Returns: `nil` if the recipient at the mailbox is unknown.
  func close(_ frame: [UInt8], to mailbox: String) -> [UInt8]? {
    let (counter, recipient, known) = state.withLock {
      state -> (UInt64, Recipient?, SymmetricKey?) in
      state.counter &+= 1
      let recipient = state.recipients[mailbox]
      return (state.counter, recipient, recipient.flatMap { state.recipientKeys[$0] })
    }
    let key: SymmetricKey
    if let known {
      key = known
    } else if let recipient {
      guard let shared = identity.shared(with: recipient.key) else { return nil }
      key = Self.derive(
        clusterKey, shared: shared, sender: own, senderKey: publicKey, recipient: recipient)
      state.withLock { state in
        if state.recipients[mailbox] == recipient { state.recipientKeys[recipient] = key }
      }
    } else if mailbox == registryMailbox {
      key = introductionKey
    } else {
      return nil
    }
    let header = SealedFrame.Header(
      sender: own, counter: counter, key: publicKey, isIntroduction: recipient == nil)
    let bytes = header.bytes
    let authenticated = Data(bytes) + Data(mailbox.utf8)
    guard
      let proof = try? ChaChaPoly.seal(
        Data(), using: key, nonce: Self.nonce(counter, .proof), authenticating: authenticated),
      let box = try? ChaChaPoly.seal(
        frame, using: key, nonce: Self.nonce(counter, .body), authenticating: authenticated)
    else { return nil }
    var sealed = bytes
    sealed.reserveCapacity(bytes.count + 2 * SealedFrame.tagBytes + frame.count)
    sealed += proof.tag
    sealed += box.ciphertext
    sealed += box.tag
    return sealed
  }

  /// Checks the header of a frame that has not arrived completely.
  /// - Returns: the reason to refuse the frame; `nil` if the header proves its sender.
  func refusal(of header: SealedFrame.Header, proof: [UInt8]) -> String? {
    guard let (key, window) = receivingKey(header) else { return "seal_broken" }
    guard window?.admits(header.counter) ?? (header.counter > 0) else { return "replayed" }
    guard
      let box = try? ChaChaPoly.SealedBox(
        nonce: Self.nonce(header.counter, .proof), ciphertext: Data(), tag: proof),
      (try? ChaChaPoly.open(box, using: key, authenticating: authenticated(header))) != nil
    else { return "seal_broken" }
    state.withLock { state in Self.remember(header, key, &state) }
    return nil
  }

  func open(_ bytes: [UInt8]) -> Opened {
    guard let frame = try? SealedFrame(decoding: bytes) else { return .refused(reason: "unsealed") }
    let header = frame.header
    guard let (key, window) = receivingKey(header) else { return .refused(reason: "seal_broken") }
    guard window?.admits(header.counter) ?? (header.counter > 0) else {
      return .refused(reason: "replayed")
    }
    guard
      let box = try? ChaChaPoly.SealedBox(
        nonce: Self.nonce(header.counter, .body),
        ciphertext: frame.body.dropLast(SealedFrame.tagBytes),
        tag: frame.body.suffix(SealedFrame.tagBytes)),
      let content = try? ChaChaPoly.open(box, using: key, authenticating: authenticated(header))
    else { return .refused(reason: "seal_broken") }
    let isFresh = state.withLock { state -> Bool in
      Self.remember(header, key, &state)
      return state.senders[SenderKey(header)]?.window.accept(header.counter) ?? false
    }
    guard isFresh else { return .refused(reason: "replayed") }
    return .opened(
      [UInt8](content),
      SealedSender(id: header.sender, key: header.key, isIntroduction: header.isIntroduction))
  }

  /// The key under which the header's sender seals for this process, and its replay window.
  private func receivingKey(_ header: SealedFrame.Header) -> (SymmetricKey, ReplayWindow?)? {
    if let known = state.withLock({ $0.senders[SenderKey(header)] }) {
      return (known.key, known.window)
    }
    if header.isIntroduction {
      return (
        Self.derive(
          clusterKey, shared: [], sender: header.sender, senderKey: header.key, recipient: nil), nil
      )
    }
    guard let shared = identity.shared(with: header.key) else { return nil }
    return (
      Self.derive(
        clusterKey, shared: shared, sender: header.sender, senderKey: header.key,
        recipient: Recipient(id: own, key: publicKey)), nil
    )
  }

  private static func remember(
    _ header: SealedFrame.Header, _ key: SymmetricKey, _ state: inout State
  ) {
    state.uses &+= 1
    let sender = SenderKey(header)
    if state.senders[sender] == nil {
      if state.senders.count >= maximumSenders {
        // Evict unlisted senders first, so that a flood of identities evicts no listed peer.
        let unknown = state.senders.filter { !state.known.contains($0.key.key) }
        let oldest = (unknown.isEmpty ? state.senders : unknown)
          .min { $0.value.lastUse < $1.value.lastUse }
        if let oldest { state.senders[oldest.key] = nil }
      }
      state.senders[sender] = Sender(key: key)
    }
    state.senders[sender]?.lastUse = state.uses
  }

  /// - Parameter recipient: `nil` for an introduction.
  private static func derive(
    _ clusterKey: [UInt8], shared: [UInt8], sender: PeerID, senderKey: [UInt8],
    recipient: Recipient?
  ) -> SymmetricKey {
    var info = Data("\(sender.name)\u{0}\(sender.incarnation)\u{0}".utf8) + Data(senderKey)
    if let recipient {
      info += Data("\(recipient.id.incarnation)\u{0}".utf8) + Data(recipient.key)
    }
    return HKDF<SHA256>.deriveKey(
      inputKeyMaterial: SymmetricKey(data: clusterKey + shared),
      salt: Data((recipient == nil ? "tutti bus v2 hello" : "tutti bus v2").utf8), info: info,
      outputByteCount: 32)
  }

  private enum Use: UInt8 { case body, proof }

  private static func nonce(_ counter: UInt64, _ use: Use) throws -> ChaChaPoly.Nonce {
    var bytes: [UInt8] = [use.rawValue, 0, 0, 0]
    for shift in stride(from: UInt64(56), through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: counter >> shift))
    }
    return try ChaChaPoly.Nonce(data: bytes)
  }

  private func authenticated(_ header: SealedFrame.Header) -> Data {
    Data(header.bytes) + Data(mailbox.utf8)
  }
}

/// The counters seen from one sender: the highest, and a bitmap of the last 1,024. Frames to
/// several recipients share one counter, so gaps are normal. A counter that was seen or is older
/// than the window is refused.
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

  /// Records a counter.
  /// - Returns: whether the counter was new.
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
