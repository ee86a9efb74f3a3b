import Limits

/// The table of limits. `HostRegistry.Limits` hides its name inside the registry.
typealias HostTableLimits = Limits
