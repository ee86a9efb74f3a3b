import ClusterModel
import Limits

/// Which client a request belongs to, as far as blame needs it: equal for the same client, and
/// nothing that identifies it.
public struct ClientFingerprint: Hashable, Sendable {
  public let value: UInt64

  public init(_ value: UInt64) { self.value = value }

  /// - Parameter tag: how the gateway distinguishes clients; empty means an unknown client, which is
  ///   one client.
  public init(tag: String) { value = StableHash.of(tag.utf8) }
}

/// The failures of one host by client.
///
/// A failure that a request can cause (everything but a refused connection) may be the client's
/// doing. So each client contributes a bounded number of failures to the host's standing, which is
/// less than the breaker needs, and a client whose requests keep failing there is kept from that
/// host alone.
struct ClientFailures: Sendable {
  /// Failures of one client that count for all clients, in each window. The breaker opens after five,
  /// so two clients must have failed.
  private static let counted = Limits.countedClientFailures.value
  private static let window = Duration.milliseconds(Limits.clientFailureWindow.value)
  /// Failures in a row until the host is closed to this client: as many as open a breaker.
  private static let failures = 5
  private static let firstOpen = Duration.seconds(1)
  private static let longestOpen = Duration.seconds(60)

  private struct Entry: Sendable {
    var client: ClientFingerprint
    /// Failures that counted for all, since the window began.
    var counted = 0
    var windowBegan: Instant
    var inRow = 0
    var openings = 0
    var closedUntil = Instant.zero
    var last: Instant
  }

  /// What a failure means.
  struct Verdict: Hashable, Sendable {
    /// It counts towards the standing of the host.
    var counts: Bool
    /// The host is closed to this client until then; `nil` means that it stays open.
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
    // Requests that were under way when it closed end together and say the same once.
    guard entries[place].closedUntil <= now else {
      return Verdict(counts: counts, closedUntil: entries[place].closedUntil)
    }
    let doubled = Self.firstOpen * (1 << min(entries[place].openings, 20))
    entries[place].openings += 1
    entries[place].closedUntil = now + min(doubled, Self.longestOpen)
    return Verdict(counts: counts, closedUntil: entries[place].closedUntil)
  }

  /// An answer for this client came to its end. Its window goes on: alternating between requests
  /// that fail and requests that do not must not multiply what counts.
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
    // The one that has failed least recently has the least to lose.
    let oldest = entries.indices.min { entries[$0].last < entries[$1].last } ?? 0
    entries[oldest] = new
    return oldest
  }
}

/// Hosts that are closed to single clients.
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
      // All of them are new: forgetting them costs each client five more failures.
      if until.count >= Limits.closedHosts.value { until = [:] }
    }
    until[Key(client: client, host: host)] = end
  }

  mutating func open(_ host: HostID, to client: ClientFingerprint) {
    until[Key(client: client, host: host)] = nil
  }

  func admits(_ client: ClientFingerprint?, to host: HostID, at now: Instant) -> Bool {
    guard !until.isEmpty, let client, let end = until[Key(client: client, host: host)] else {
      return true
    }
    return end <= now
  }
}
