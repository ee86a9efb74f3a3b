import BusCore
import ClusterModel
import Wire

enum BusEntries {
  static func wire(_ bytes: [UInt8]) {
    if let sealed = try? SealedFrame(decoding: bytes) {
      precondition((try? SealedFrame(decoding: sealed.encoded())) == sealed, "a frame changed")
    }
    guard let envelope = try? Envelope(decoding: bytes) else { return }
    guard let packed = try? envelope.encoded() else {
      preconditionFailure("a decoded envelope cannot be encoded")
    }
    let again = try? Envelope(decoding: packed)
    // Telemetry is not compared, because NaN is not equal to itself. All other envelopes must be
    // equal.
    if case .telemetry = envelope.body { return }
    precondition(again == envelope, "an envelope changed")
  }

  /// Decodes envelopes and passes them to two bus machines. Two bytes of length precede each
  /// envelope.
  static func bus(_ bytes: [UInt8]) {
    let registry = Peer(
      id: PeerID(name: "registry", incarnation: 1), service: .registry,
      mailbox: "ipc:///r", ttl: .seconds(3))
    let own = Peer(
      id: PeerID(name: "gateway", incarnation: 2), service: .gateway,
      mailbox: "ipc:///g", ttl: .seconds(3))
    for peer in [own, registry] {
      var machine = BusMachine(own: peer, registryMailbox: registry.mailbox)
      var left = bytes[...]
      var milliseconds = 0
      while left.count > 2, milliseconds < 64 {
        let length = Int(left[left.startIndex]) << 8 | Int(left[left.startIndex + 1])
        let frame = Array(left.dropFirst(2).prefix(length))
        left = left.dropFirst(2 + length)
        milliseconds += 1
        let now = Instant.zero.advanced(by: .milliseconds(milliseconds))
        guard let envelope = try? Envelope(decoding: frame) else { continue }
        for case .decode(let message) in machine.received(
          envelope, bytes: frame.count, now: now)
        {
          let whole = try? Envelope(decoding: message.bytes)
          _ = machine.received(message, decodedAs: whole, now: now)
        }
        _ = machine.tick(now: now)
      }
      _ = machine.tick(now: Instant.zero.advanced(by: .seconds(60)))
    }
  }
}
