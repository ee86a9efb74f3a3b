/// What one process says of its own traffic. What is under way is said whole each time, so that a
/// lost report, or a registry that starts anew, costs one interval; the rest is what happened since
/// the report before, of which a lost one costs a few samples.
public struct LoadReport: Hashable, Sendable {
  /// Grows with every report of an incarnation.
  public var sequence: UInt64
  /// Hosts with something under way or something new, by id.
  public var hosts: [HostLoadReport]

  public init(sequence: UInt64, hosts: [HostLoadReport]) {
    self.sequence = sequence
    self.hosts = hosts
  }
}

public struct HostLoadReport: Hashable, Sendable {
  /// How many samples fell into one bucket of a `LatencyHistogram`.
  public struct Samples: Hashable, Sendable {
    public var bucket: Int
    public var count: Int

    public init(bucket: Int, count: Int) {
      self.bucket = bucket
      self.count = count
    }
  }

  public var host: HostID
  /// Under way now.
  public var inFlight: Int
  /// First-token times since the last report.
  public var firstTokens: [Samples]
  /// Attempts that ended well, and by the host's fault, since the last report.
  public var answered: Int
  public var failed: Int
  /// Since the last report.
  public var flow: TokenFlow
  /// Times the breaker opened since the last report, and whether it lets nobody through now.
  public var trips: Int
  public var isOpen: Bool

  public init(
    host: HostID, inFlight: Int = 0, firstTokens: [Samples] = [], answered: Int = 0,
    failed: Int = 0, flow: TokenFlow = .none, trips: Int = 0, isOpen: Bool = false
  ) {
    self.host = host
    self.inFlight = inFlight
    self.firstTokens = firstTokens
    self.answered = answered
    self.failed = failed
    self.flow = flow
    self.trips = trips
    self.isOpen = isOpen
  }
}

/// The traffic of all processes, as the registry merged it.
public struct LoadTable: Hashable, Sendable {
  /// Up to which of its reports a process is part of this table: what it began or ended since then
  /// it adds itself.
  public struct Merged: Hashable, Sendable {
    public var peer: PeerID
    public var sequence: UInt64

    public init(peer: PeerID, sequence: UInt64) {
      self.peer = peer
      self.sequence = sequence
    }
  }

  /// The registry's incarnation: a new registry counts revisions from zero again.
  public var epoch: UInt64
  public var revision: UInt64
  /// By id.
  public var hosts: [HostLoad]
  public var merged: [Merged]

  public static let empty = LoadTable(epoch: 0, revision: 0, hosts: [], merged: [])

  public init(epoch: UInt64, revision: UInt64, hosts: [HostLoad], merged: [Merged]) {
    self.epoch = epoch
    self.revision = revision
    self.hosts = hosts
    self.merged = merged
  }
}

/// One host's traffic.
public struct HostLoad: Hashable, Sendable {
  public var host: HostID
  /// Under way at all processes.
  public var inFlight: Int
  public var firstTokenP50: Duration?
  public var firstTokenP95: Duration?
  /// How many samples the times are worth, fading.
  public var samples: Double
  /// Of the attempts that ended, how many ended by the host's fault: 0 … 1.
  public var errorRate: Double
  public var tokensPerSecond: Double?
  /// How answers slow each other down there, 0 … 1 (`HostSharing`); nil: nobody has measured it.
  public var slowdown: Double?
  /// Processes whose breaker lets nobody through.
  public var openBreakers: Int
  /// Since its last answered probe; nil: none was.
  public var heard: Duration?

  public init(
    host: HostID, inFlight: Int = 0, firstTokenP50: Duration? = nil,
    firstTokenP95: Duration? = nil, samples: Double = 0, errorRate: Double = 0,
    tokensPerSecond: Double? = nil, slowdown: Double? = nil, openBreakers: Int = 0,
    heard: Duration? = nil
  ) {
    self.host = host
    self.inFlight = inFlight
    self.firstTokenP50 = firstTokenP50
    self.firstTokenP95 = firstTokenP95
    self.samples = samples
    self.errorRate = errorRate
    self.tokensPerSecond = tokensPerSecond
    self.slowdown = slowdown
    self.openBreakers = openBreakers
    self.heard = heard
  }
}

/// How often traffic is told and merged.
public enum LoadRhythm {
  /// Between a process's reports, and between the registry's tables, while something changes.
  public static let interval = Duration.milliseconds(250)
  /// Between them while nothing does.
  public static let idleInterval = Duration.seconds(2)
  /// A registry that was not heard for so long is silent: two idle tables and some.
  public static let silence = Duration.seconds(5)
  /// A process that did not report for so long has nothing under way: its lease has ended too.
  public static let shareLifetime = Duration.seconds(10)
}
