public import ClusterModel

/// Process that sealed a frame, as its key proves.
public struct SealedSender: Equatable, Sendable {
  public let id: PeerID
  /// Its public key.
  public let key: [UInt8]
  /// The frame was sealed with the cluster key alone and may be a replay: enough for a first hello.
  public let isIntroduction: Bool

  public init(id: PeerID, key: [UInt8], isIntroduction: Bool = false) {
    self.id = id
    self.key = key
    self.isIntroduction = isIntroduction
  }
}

/// Process for which mail to a mailbox is sealed.
public struct Recipient: Hashable, Sendable {
  public let id: PeerID
  public let key: [UInt8]

  public init(id: PeerID, key: [UInt8]) {
    self.id = id
    self.key = key
  }

  public init(_ peer: Peer) { self.init(id: peer.id, key: peer.key) }
}
