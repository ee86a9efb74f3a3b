/// One process's report of its own traffic.
///
/// Counts of requests in flight and states of breakers are absolute: after a lost report or a
/// restart of the registry, the next report corrects them. The other fields cover the time since
/// the previous report, so a lost report costs a few samples.
public struct LoadReport: Hashable, Sendable {
  /// Grows with every report of an incarnation.
  public var sequence: UInt64
  /// Hosts with requests in flight, new samples or an open breaker, sorted by id.
  public var hosts: [HostLoadReport]

  public init(sequence: UInt64, hosts: [HostLoadReport]) {
    self.sequence = sequence
    self.hosts = hosts
  }
}

public struct HostLoadReport: Hashable, Sendable {
  /// Number of samples in one bucket of a `LatencyHistogram`.
  public struct Samples: Hashable, Sendable {
    public var bucket: Int
    public var count: Int

    public init(bucket: Int, count: Int) {
      self.bucket = bucket
      self.count = count
    }
  }

  public var host: HostID
  /// Attempts in flight now.
  public var inFlight: Int
  /// First-token times since the last report.
  public var firstTokens: [Samples]
  /// Attempts that ended since the last report. `answered` counts successes, and `failed` counts
  /// failures by the host's fault.
  public var answered: Int
  public var failed: Int
  /// Tokens since the last report.
  public var flow: TokenFlow
  /// Times the breaker opened since the last report.
  public var trips: Int
  /// Whether the breaker admits no request now. It is `false` again after the breaker's open time,
  /// so that another process may send the request that closes the breaker.
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

/// The traffic of all processes, merged by the registry.
public struct LoadTable: Hashable, Sendable {
  /// The last report of one process that this table includes. That process subtracts its counts in
  /// this report from the table and adds its current counts.
  public struct Merged: Hashable, Sendable {
    public var peer: PeerID
    public var sequence: UInt64

    public init(peer: PeerID, sequence: UInt64) {
      self.peer = peer
      self.sequence = sequence
    }
  }

  /// The registry's incarnation. A new registry restarts the count of revisions.
  public var epoch: UInt64
  public var revision: UInt64
  /// Load of each host, sorted by id.
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

/// Traffic of one host.
public struct HostLoad: Hashable, Sendable {
  public var host: HostID
  /// Attempts in flight in all processes.
  public var inFlight: Int
  public var firstTokenP50: Duration?
  public var firstTokenP95: Duration?
  /// Decayed number of samples from which the first-token times are computed.
  public var samples: Double
  /// Share of ended attempts that failed by the host's fault, 0 … 1.
  public var errorRate: Double
  public var tokensPerSecond: Double?
  /// How much concurrent answers slow each other down, 0 … 1 (`HostSharing`). `nil` means not
  /// measured.
  public var slowdown: Double?
  /// Number of processes whose breaker for this host admits no request.
  public var openBreakers: Int
  /// Time since the last answered probe. `nil` means that no probe was answered.
  public var probeAge: Duration?

  public init(
    host: HostID, inFlight: Int = 0, firstTokenP50: Duration? = nil,
    firstTokenP95: Duration? = nil, samples: Double = 0, errorRate: Double = 0,
    tokensPerSecond: Double? = nil, slowdown: Double? = nil, openBreakers: Int = 0,
    probeAge: Duration? = nil
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
    self.probeAge = probeAge
  }
}

/// Intervals at which traffic is reported and merged.
public enum LoadRhythm {
  /// Time between a process's reports, and between the registry's tables, while traffic changes.
  public static let interval = Duration.milliseconds(250)
  /// Time between reports, and between tables, while traffic does not change.
  public static let idleInterval = Duration.seconds(2)
  /// Time without a table after which the registry counts as silent: two idle intervals plus a
  /// margin.
  public static let silence = Duration.seconds(5)
  /// Time without a report after which a process's attempts in flight are dropped. The process's
  /// lease ends before that.
  public static let shareLifetime = Duration.seconds(10)
}
