import ClusterModel
import ClusterTesting
import Testing

extension ProcessTests {
  @Suite(
    "Hosts that leave and return", .serialized, .timeLimit(.minutes(5)),
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct HostProbeTests {
    @Test("a host that is away is added with 75, and a probe uses it again at once")
    func returns() async throws {
      let cluster = try RunningCluster.current()
      let host = try await FaultyHost.started(
        FaultyHostConfiguration(models: ["returning"], answer: .text("Hi"), dialect: .openai))
      let url = host.url
      try await host.stop()
      let added = try await cluster.tutti("hosts", "add", url, "--id", "late", "--alias", "soon")
      #expect(added.status == 75 && added.output == "late\n", "\(added)")
      #expect(added.errors.contains("host late is added, but not ready"), "\(added)")
      #expect(added.errors.contains("tutti models alias soon MODEL"), "\(added)")
      try await host.start()
      let probed = try await cluster.tutti("hosts", "probe", "late")
      #expect(probed.status == 0, "\(probed)")
      #expect(probed.errors.contains("host late is ready: returning"), "\(probed)")
      let missing = try await cluster.tutti("hosts", "probe", "never")
      #expect(missing.status == 1 && missing.errors.contains("tutti hosts list"), "\(missing)")
      let unwaited = try await cluster.tutti("hosts", "resume", "late", "--wait", "0")
      #expect(unwaited.status == 0, "\(unwaited)")
      let wrong = try await cluster.tutti("hosts", "probe", "late", "--wait", "16")
      #expect(wrong.status == 64 && wrong.errors.contains("--wait"), "\(wrong)")
      #expect(try await cluster.tutti("hosts", "remove", "late").status == 0)
      try await host.stop()
    }
  }
}
