import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func peer(_ peer: Peer) -> UnsafeMutablePointer<Tutti__V1__Peer> {
    let message = unsafe make(tutti__v1__peer__init)
    unsafe message.pointee.name = text(peer.id.name)
    unsafe message.pointee.incarnation = peer.id.incarnation
    unsafe message.pointee.service = text(peer.service.description)
    unsafe message.pointee.mailbox = text(peer.mailbox)
    unsafe message.pointee.version = text(peer.version)
    unsafe message.pointee.ttl_ms = peer.ttl.wireMilliseconds
    unsafe message.pointee.key = bytes(peer.key)
    return unsafe message
  }

  func hello(_ peer: Peer) -> UnsafeMutablePointer<Tutti__V1__Hello> {
    let message = unsafe make(tutti__v1__hello__init)
    unsafe message.pointee.peer = self.peer(peer)
    return unsafe message
  }

  func goodbye(_ peer: PeerID) -> UnsafeMutablePointer<Tutti__V1__Goodbye> {
    let message = unsafe make(tutti__v1__goodbye__init)
    unsafe message.pointee.name = text(peer.name)
    unsafe message.pointee.incarnation = peer.incarnation
    return unsafe message
  }

  func peerTable(_ table: PeerTable) -> UnsafeMutablePointer<Tutti__V1__PeerTable> {
    let message = unsafe make(tutti__v1__peer_table__init)
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.n_peers = table.peers.count
    unsafe message.pointee.peers = array(table.peers) { unsafe peer($0) }
    return unsafe message
  }
}

extension Peer {
  init(wire message: Tutti__V1__Peer) throws(WireError) {
    let name = try unsafe String(wire: message.name, "Peer.name")
    let mailbox = try unsafe String(wire: message.mailbox, "Peer.mailbox")
    guard !name.isEmpty else { throw .missing(field: "Peer.name") }
    guard !mailbox.isEmpty else { throw .missing(field: "Peer.mailbox") }
    self.init(
      id: PeerID(name: name, incarnation: unsafe message.incarnation),
      service: ServiceName(try unsafe String(wire: message.service, "Peer.service")),
      mailbox: mailbox, key: unsafe [UInt8](wire: message.key),
      version: try unsafe String(wire: message.version, "Peer.version"),
      ttl: .milliseconds(unsafe message.ttl_ms))
  }
}

extension PeerTable {
  init(wire message: Tutti__V1__PeerTable) throws(WireError) {
    self.init(
      epoch: unsafe message.epoch, revision: unsafe message.revision,
      peers: try unsafe elements(message.n_peers, message.peers) { peer throws(WireError) in
        try unsafe Peer(wire: peer)
      })
  }
}
