import Limits

/// Another name for `Limits`, which `HostRegistry.Limits` hides inside the registry.
typealias HostTableLimits = Limits
