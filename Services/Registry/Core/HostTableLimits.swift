import Limits

/// The global `Limits`, which `HostRegistry.Limits` hides inside the registry.
typealias HostTableLimits = Limits
