import ClusterModel

/// The running tasks of an agent, and how many may run at once.
struct TaskCount: Sendable {
  private(set) var running = 0
  private let configured: Int
  private var maximum: Int

  /// - Parameter configured: the limit that applies unless an admin has set one.
  init(configured: Int) {
    self.configured = configured
    maximum = configured
  }

  /// Applies values that admins set at run time. Running tasks above a lower limit continue.
  mutating func apply(_ overrides: RuntimeOverrides) {
    maximum = overrides.integer(.agentTasks) ?? configured
  }

  /// - Returns: whether the task may run. If so, the caller must call `end` after the task.
  mutating func begin() -> Bool {
    guard running < maximum else { return false }
    running += 1
    return true
  }

  mutating func end() { running -= 1 }
}
