import ClusterModel
import Synchronization

/// Limits of a dispatcher that admins can change at run time.
struct DispatcherLimits: Hashable, Sendable {
  /// Maximum concurrent plans.
  var plans: Int
  /// Maximum concurrent tasks per agent.
  var tasks: Int

  /// The limits with the values that admins set at run time.
  func overridden(by overrides: RuntimeOverrides) -> DispatcherLimits {
    DispatcherLimits(
      plans: overrides.integer(.dispatcherPlans) ?? plans,
      tasks: overrides.integer(.dispatcherTasks) ?? tasks)
  }

  /// The limits in force, which several threads may read and change.
  final class Current: Sendable {
    private let limits: Mutex<DispatcherLimits>

    init(_ limits: DispatcherLimits) { self.limits = Mutex(limits) }

    var value: DispatcherLimits {
      get { limits.withLock(\.self) }
      set { limits.withLock { $0 = newValue } }
    }
  }
}
