/// What a run asks of the process it runs in, at the moment it decides.
public protocol ClusterAccess {
  func view() -> ClusterView
  /// A request has begun: the budgets earn by it.
  func requestBegan(at view: ClusterView)
  /// Takes a second leg from the process's budget; false: there is none left.
  func mayRace(at view: ClusterView) -> Bool
  /// Takes a retry from the process's budget.
  func mayRetry(at view: ClusterView) -> Bool
}
