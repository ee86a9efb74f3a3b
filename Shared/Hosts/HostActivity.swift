import ClusterModel

/// State of a host that changes from second to second, in addition to its row in the table.
public struct HostActivity: Hashable, Sendable {
  /// Whether the circuit breaker of at least one process admits no request.
  public var isBreakerOpen: Bool
  /// Whether the host is closed to this client alone, because the client's own requests failed
  /// there.
  var isClosedToClient: Bool
  /// Time since the host's last response. `nil` means unknown, and the host counts as fresh.
  var silence: Duration?
  /// Requests in flight, of all processes.
  public var inFlight: Int
  public var speed: HostSpeed

  public init(
    isBreakerOpen: Bool = false, isClosedToClient: Bool = false, silence: Duration? = nil,
    inFlight: Int = 0, speed: HostSpeed = HostSpeed()
  ) {
    self.isBreakerOpen = isBreakerOpen
    self.isClosedToClient = isClosedToClient
    self.silence = silence
    self.inFlight = inFlight
    self.speed = speed
  }

  /// - Parameter age: time since the load was published. After `LoadRhythm.silence` the registry
  ///   counts as silent. From then on the silence of hosts does not grow, and their breakers count
  ///   as closed.
  init(_ load: HostLoad, age: Duration) {
    self.init(
      isBreakerOpen: load.openBreakers > 0 && age <= LoadRhythm.silence,
      silence: load.probeAge.map { $0 + min(max(age, .zero), LoadRhythm.silence) },
      inFlight: load.inFlight,
      speed: HostSpeed(
        tokensPerSecond: load.tokensPerSecond, firstToken: load.firstTokenP50,
        slowdown: load.slowdown))
  }
}
