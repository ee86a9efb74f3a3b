import ClusterModel
import Limits

/// Hash of a client's tag, by which failures are attributed to the client.
///
/// The hash is equal for the same client, but does not show who the client is.
public struct ClientFingerprint: Hashable, Sendable {
  public let value: UInt64

  public init(_ value: UInt64) { self.value = value }

  /// - Parameter tag: text by which the gateway distinguishes clients. All clients with an empty
  ///   tag count as one.
  public init(tag: String) { value = StableHash.of(tag.utf8) }
}

/// The failures of one host, by client.
///
/// A request can cause every failure except a refused connection, so the client may be at fault.
/// Each client therefore adds only a limited number of failures to the host's standing, fewer than
/// open a breaker. A host is closed to a client whose requests keep failing there.
struct ClientFailures: Sendable {
  /// Maximum failures of one client per window that count toward the breaker for all clients. The
  /// breaker opens after five failures, so at least two clients must have failed.
  private static let counted = Limits.countedClientFailures.value
  private static let window = Duration.milliseconds(Limits.clientFailureWindow.value)
  /// Consecutive failures of a client that close a host to this client: as many as open a breaker.
  private static let failures = 5
  private static let firstOpen = Duration.seconds(1)
  private static let longestOpen = Duration.seconds(60)

  private struct Entry: Sendable {
    var client: ClientFingerprint
    /// Failures since `windowBegan` that counted for all clients.
    var counted = 0
    var windowBegan: Instant
    var inRow = 0
    var openings = 0
    var closedUntil = Instant.zero
    var last: Instant
  }

  /// Consequences of a failure.
  struct Verdict: Hashable, Sendable {
    /// Whether the failure counts towards the host's standing.
    var counts: Bool
    /// Time until which the host is closed to this client. `nil` means that the host stays open.
    var closedUntil: Instant?
  }

  private var entries: [Entry] = []

  mutating func failed(_ client: ClientFingerprint, now: Instant) -> Verdict {
    let place = entry(of: client, now)
    if entries[place].windowBegan.duration(to: now) > Self.window {
      entries[place].windowBegan = now
      entries[place].counted = 0
    }
    if entries[place].last.duration(to: now) > Self.window { entries[place].inRow = 0 }
    entries[place].last = now
    entries[place].inRow += 1
    let counts = entries[place].counted < Self.counted
    if counts { entries[place].counted += 1 }
    guard entries[place].inRow >= Self.failures else { return Verdict(counts: counts) }
    // Requests may still be in flight when the host is closed to the client. Their failures do not
    // extend the time for which the host is closed.
    guard entries[place].closedUntil <= now else {
      return Verdict(counts: counts, closedUntil: entries[place].closedUntil)
    }
    let doubled = Self.firstOpen * (1 << min(entries[place].openings, 20))
    entries[place].openings += 1
    entries[place].closedUntil = now + min(doubled, Self.longestOpen)
    return Verdict(counts: counts, closedUntil: entries[place].closedUntil)
  }

  /// Records a complete answer for this client.
  ///
  /// The window of counted failures continues. Otherwise a client that alternates failures and
  /// successes could add more failures than `counted` allows.
  ///
  /// - Returns: whether the host was closed to the client before.
  mutating func succeeded(_ client: ClientFingerprint) -> Bool {
    guard let place = entries.firstIndex(where: { $0.client == client }) else { return false }
    entries[place].inRow = 0
    entries[place].closedUntil = .zero
    defer { entries[place].openings = 0 }
    return entries[place].openings > 0
  }

  private mutating func entry(of client: ClientFingerprint, _ now: Instant) -> Int {
    if let known = entries.firstIndex(where: { $0.client == client }) { return known }
    let new = Entry(client: client, windowBegan: now, last: now)
    guard entries.count >= Limits.clientsPerHost.value else {
      entries.append(new)
      return entries.count - 1
    }
    // Forget the client whose last failure is oldest. Its entry is worth least.
    let oldest = entries.indices.min { entries[$0].last < entries[$1].last } ?? 0
    entries[oldest] = new
    return oldest
  }
}

/// Hosts that are closed to single clients because of those clients' failures.
struct ClosedHosts: Sendable {
  private struct Key: Hashable, Sendable {
    var client: ClientFingerprint
    var host: HostID
  }

  private var until: [Key: Instant] = [:]

  var isEmpty: Bool { until.isEmpty }

  mutating func close(
    _ host: HostID, to client: ClientFingerprint, until end: Instant, now: Instant
  ) {
    if until.count >= Limits.closedHosts.value {
      until = until.filter { $0.value > now }
      // No entry has expired, so all are dropped. A host is then open to a client until the
      // client's next failure there, because `ClientFailures` keeps its counts.
      if until.count >= Limits.closedHosts.value { until = [:] }
    }
    until[Key(client: client, host: host)] = end
  }

  mutating func open(_ host: HostID, to client: ClientFingerprint) {
    until[Key(client: client, host: host)] = nil
  }

  func admits(_ client: ClientFingerprint?, to host: HostID, at now: Instant) -> Bool {
    end(for: client, at: host).map { $0 <= now } ?? true
  }

  /// Time until which the host is closed to the client. `nil` means that it was not closed.
  func end(for client: ClientFingerprint?, at host: HostID) -> Instant? {
    guard !until.isEmpty, let client else { return nil }
    return until[Key(client: client, host: host)]
  }
}
