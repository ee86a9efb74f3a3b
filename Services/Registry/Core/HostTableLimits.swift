import Limits

/// Name of the global `Limits` inside `HostRegistry`, whose own `Limits` hides the global one.
typealias HostTableLimits = Limits
