public import ClusterModel

/// The authenticated sender of a sealed frame.
public struct SealedSender: Equatable, Sendable {
  public let id: PeerID
  /// The sender's public key.
  public let key: [UInt8]
  /// Whether the frame is sealed with the cluster key alone. It may be a replay, so only a first
  /// hello is accepted in it.
  public let isIntroduction: Bool

  public init(id: PeerID, key: [UInt8], isIntroduction: Bool = false) {
    self.id = id
    self.key = key
    self.isIntroduction = isIntroduction
  }
}

/// The process that frames to a mailbox are sealed for.
public struct Recipient: Hashable, Sendable {
  public let id: PeerID
  public let key: [UInt8]

  public init(id: PeerID, key: [UInt8]) {
    self.id = id
    self.key = key
  }

  public init(_ peer: Peer) { self.init(id: peer.id, key: peer.key) }
}
