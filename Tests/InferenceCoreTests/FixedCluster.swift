import ClusterModel
import InferenceCore

/// A cluster that learns nothing. The test sets the standings of hosts and the state of budgets.
struct FixedCluster: ClusterAccess {
  var seen: ClusterView
  var mayRace = true
  var mayRetry = true

  init(_ hosts: [Host], standing: [HostID: HostStanding] = [:]) {
    seen = ClusterView(
      table: HostTable(epoch: 1, revision: 1, hosts: hosts), standing: standing)
  }

  func view() -> ClusterView { seen }
  func requestBegan(at view: ClusterView) {}
  func mayRace(at view: ClusterView) -> Bool { mayRace }
  func mayRetry(at view: ClusterView) -> Bool { mayRetry }
}
