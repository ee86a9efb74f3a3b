/// Functions of the process that a run calls for its decisions.
public protocol ClusterAccess {
  func view() -> ClusterView
  /// Records that a request has begun. Requests add to the budgets for second legs and retries.
  func requestBegan(at view: ClusterView)
  /// Takes a second leg from the process's budget. `false` means that none is left.
  func mayRace(at view: ClusterView) -> Bool
  /// Takes a retry from the process's budget. `false` means that none is left.
  func mayRetry(at view: ClusterView) -> Bool
}
