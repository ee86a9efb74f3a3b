public import ClusterModel

/// The instant this many seconds after the start of virtual time.
public func at(_ seconds: Int) -> Instant { Instant(sinceStart: .seconds(seconds)) }

/// The instant this many seconds after the start of virtual time.
public func at(_ seconds: Double) -> Instant { Instant(sinceStart: .seconds(seconds)) }

/// The instant this many milliseconds after the start of virtual time.
public func at(ms: Int) -> Instant { Instant(sinceStart: .milliseconds(ms)) }
