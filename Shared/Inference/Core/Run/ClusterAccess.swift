/// Services of the process that a run uses when it decides.
public protocol ClusterAccess {
  func view() -> ClusterView
  /// Records that a request has begun, which adds to the budgets.
  func requestBegan(at view: ClusterView)
  /// Takes a second attempt from the process's budget. `false` means that none is left.
  func mayRace(at view: ClusterView) -> Bool
  /// Takes a retry from the process's budget.
  func mayRetry(at view: ClusterView) -> Bool
}
