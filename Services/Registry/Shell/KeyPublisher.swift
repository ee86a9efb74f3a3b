import Access
import Bus
import BusCore
import ClusterModel
import ServiceKit

/// Sends keys to the processes that check them. All other processes learn only whether requests
/// need a key.
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
    for peer in bus.peers.peers where peer.service != .registry {
      bus.publish(.accessTableVersion(version), to: peer.id)
    }
  }

  func send(_ pages: [AccessTablePage], to peer: Peer) {
    guard peer.service != .registry else { return }
    for page in Self.pages(pages, for: peer.service) {
      bus.publish(.accessTablePage(page), to: peer.id)
    }
  }

  /// The pages that a process of a service may receive.
  static func pages(_ pages: [AccessTablePage], for service: ServiceName) -> [AccessTablePage] {
    service.checksKeys ? pages : pages.prefix(1).map(\.withoutKeys)
  }
}
