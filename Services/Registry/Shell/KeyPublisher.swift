import Access
import Bus
import BusCore
import ClusterModel
import ServiceKit

/// Sends keys to the processes that check them, and to no other.
struct KeyPublisher: Sendable {
  let bus: Bus
  /// The registry's own copy, for its admin API.
  let access: AccessDirectory

  func publish(_ pages: [AccessTablePage]) {
    for page in pages { access.apply(.accessTablePage(page)) }
    for peer in bus.peers.peers { send(pages, to: peer) }
  }

  /// Announces the version to peers that may have missed a page. They ask for the pages.
  func publish(_ version: AccessTableVersion) {
    for peer in bus.peers.peers where peer.service.checksKeys {
      bus.publish(.accessTableVersion(version), to: peer.id)
    }
  }

  func send(_ pages: [AccessTablePage], to peer: Peer) {
    guard peer.service.checksKeys else { return }
    for page in pages { bus.publish(.accessTablePage(page), to: peer.id) }
  }
}
