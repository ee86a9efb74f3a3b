import Access
import Bus
import BusCore
import ClusterModel
import ServiceKit

/// Sends keys to the processes that check them, and to no other process.
struct KeyPublisher: Sendable {
  /// Pause between announcements of the version. A gateway that missed a publication learns of it
  /// from the next announcement, so that a revoked key ends within a second.
  static let announcementPause: Duration = .milliseconds(500)

  let bus: Bus
  /// The registry's own copy of the keys, for its admin API.
  let access: AccessDirectory

  func publish(_ pages: [AccessTablePage]) {
    for page in pages { access.apply(.accessTablePage(page)) }
    for peer in bus.peers.peers { send(pages, to: peer) }
  }

  /// Announces the version. A peer that has missed a page of this version requests the pages.
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
