public import ClusterModel
import Limits

/// A message whose fragments are complete. The shell decodes it and returns it to the machine.
public struct ReassembledMessage: Equatable, Sendable {
  public let bytes: [UInt8]
  let key: Reassembly.Key
  let seal: SealedSender?
}

/// Splits encoded envelopes that are larger than a frame, and reassembles them.
public struct Reassembly: Sendable {
  private struct Partial {
    var pieces: [[UInt8]?]
    var missing: Int
    var bytes: Int
    var began: Instant
  }

  /// Identifies the fragments of one message. An answer carries the id of its request, so the shape
  /// and the sequence number are also needed.
  public struct Key: Hashable, Sendable {
    let sender: PeerID
    let messageID: UInt64
    let sequence: UInt32
    let shape: Envelope.Shape

    public init(_ envelope: Envelope) {
      sender = envelope.sender
      messageID = envelope.messageID
      sequence = envelope.sequence
      shape = envelope.shape
    }

    /// Whether the reassembled envelope names the sender, id and shape of its fragments.
    func isMessage(of envelope: Envelope) -> Bool {
      envelope.sender == sender && envelope.messageID == messageID && envelope.shape == shape
    }
  }

  private let limits: BusLimits
  private var partials: [Key: Partial] = [:]
  private var bytes = 0

  /// Maximum age of an unfinished message. An older one has lost a fragment.
  static let patience: Duration = .seconds(30)

  public init(limits: BusLimits) { self.limits = limits }

  public enum Outcome: Equatable, Sendable {
    case complete([UInt8])
    case waiting
    case refused(reason: String)
  }

  public mutating func add(
    _ fragment: Body.Fragment, of message: Key, now: Instant
  ) -> Outcome {
    let count = Int(fragment.count)
    let index = Int(fragment.index)
    guard count >= 1, index < count, count <= maximumPieces else {
      return .refused(reason: "bad_fragment")
    }
    if partials[message] == nil {
      let own = partials.keys.count { $0.sender == message.sender }
      guard partials.count < Limits.busPartials.value, own < Limits.busPartialShare.value else {
        return .refused(reason: "reassembly_full")
      }
    }
    var partial =
      partials.removeValue(forKey: message)
      ?? Partial(
        pieces: Array(repeating: nil, count: count), missing: count, bytes: 0, began: now)
    bytes -= partial.bytes
    guard partial.pieces.count == count else { return .refused(reason: "bad_fragment") }
    if partial.pieces[index] == nil {
      partial.pieces[index] = fragment.data
      partial.missing -= 1
      partial.bytes += fragment.data.count
    }
    guard partial.bytes <= limits.messageBytes else { return .refused(reason: "too_large") }
    if partial.missing == 0 {
      return .complete(partial.pieces.reduce(into: []) { $0 += $1 ?? [] })
    }
    let share = min(Limits.busReassemblyShare.value, limits.reassemblyBytes)
    let own = partials.reduce(partial.bytes) {
      $1.key.sender == message.sender ? $0 + $1.value.bytes : $0
    }
    guard bytes + partial.bytes <= limits.reassemblyBytes, own <= share else {
      return .refused(reason: "reassembly_full")
    }
    bytes += partial.bytes
    partials[message] = partial
    return .waiting
  }

  /// Maximum fragments of a message. The factor of four allows for senders with smaller frames.
  private var maximumPieces: Int { 4 * (limits.messageBytes / limits.frameBytes + 1) }

  /// Drops unfinished messages that are too old or whose sender is lost.
  public mutating func expire(now: Instant, lost: PeerID? = nil) -> Int {
    let stale = partials.filter { key, partial in
      key.sender == lost || partial.began.duration(to: now) > Self.patience
    }
    for (key, partial) in stale {
      partials[key] = nil
      bytes -= partial.bytes
    }
    return stale.count
  }

  /// Splits `packed`, the encoding of `envelope`, into envelopes that fit into frames.
  /// - Throws: `messageTooLarge`.
  public static func split(
    _ packed: [UInt8], of envelope: Envelope, limits: BusLimits
  ) throws(Failure) -> [Envelope] {
    guard packed.count <= limits.messageBytes else {
      throw Failure(
        .messageTooLarge,
        "a message of \(packed.count) bytes is too large for the bus; at most "
          + "\(limits.messageBytes) are allowed")
    }
    // Leaves room for each fragment's envelope and seal.
    let size = limits.frameBytes - 4_096
    let count = (packed.count + size - 1) / size
    return (0..<count).map { index in
      var piece = envelope
      piece.body = .fragment(
        Body.Fragment(
          index: UInt32(index), count: UInt32(count),
          data: Array(packed[(index * size)..<min(packed.count, (index + 1) * size)])))
      return piece
    }
  }
}
