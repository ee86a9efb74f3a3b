import ClusterTesting

extension RunningCluster {
  /// The cluster of the current suite and its two faulty hosts.
  static func currentOfTwo() throws -> (RunningCluster, FaultyHost, FaultyHost) {
    let cluster = try current()
    guard case .faulty(let hosts) = cluster.hosts, hosts.count == 2 else {
      throw TooLate(description: "the cluster has no two hosts")
    }
    return (cluster, hosts[0], hosts[1])
  }
}
