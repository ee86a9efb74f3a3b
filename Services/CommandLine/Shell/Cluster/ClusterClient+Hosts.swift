import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

/// The registry's API of single hosts.
extension ClusterClient {
  /// Longest wait in one request. It is below the time limit of a request.
  private static let longestWait = Duration.seconds(15)

  func host(_ id: HostID) async throws -> Answer {
    try await success(.GET, hostURL(id), token: provenToken())
  }

  /// - Parameter body: the members to change.
  func changeHost(_ id: HostID, _ body: [UInt8]) async throws -> Answer {
    try await success(.PATCH, hostURL(id), token: provenToken(), json: Data(body))
  }

  /// Drains a host, and waits until no request runs there or the limit ends.
  func drainHost(_ id: HostID, waiting limit: Duration) async throws -> HostDetails {
    let end = ContinuousClock.now + limit
    var isDrained = false
    while true {
      let left = max(.zero, ContinuousClock.now.duration(to: end))
      let wait = min(left, Self.longestWait)
      let url = "\(hostURL(id))/drain?wait_ms=\(wait.wholeMilliseconds)"
      do {
        let host = try await success(.POST, url, token: provenToken())
          .decoded(as: HostDetails.self, from: url)
        // If an admin has resumed the host, the next request would drain it again.
        guard host.state == HostState.suspended.rawValue else {
          throw ProcessFailure(
            .failed, TextTable.printable("host \(id) was resumed by an admin meanwhile"))
        }
        isDrained = true
        if host.inFlight == 0 || left <= Self.longestWait { return host }
      } catch let failure as ProcessFailure
        where isDrained && left > Self.longestWait
        && [.unavailable, .tryLater].contains(failure.status)
      {
        // The registry may be restarting. The host stays drained, so the request is repeated.
        try await Task.sleep(for: .seconds(1))
      }
    }
  }
}
