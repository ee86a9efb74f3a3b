import ClusterModel
import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite(
    "A cluster with records of models", .serialized, .timeLimit(.minutes(5)),
    .cluster {
      try await RunningCluster.start(
        .faulty([try await .started(HostsThatDiffer.configuration(["real"], .openai))]))
    })
  struct ModelRecordTests {
    private typealias Hosts = HostsThatDiffer

    @Test("an alias answers under its name, and the host is asked for its own model")
    func alias() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts, let host = hosts.first else { return }
      let made = try await cluster.tutti("models", "alias", "org/best", "real")
      #expect(made.status == 0 && made.output.contains("ready"), "\(made)")
      try await Hosts.wait(until: true, "org/best", isOfferedBy: cluster)
      let answer = try await Hosts.ask("org/best", race: "single", in: cluster)
      #expect(answer.contains(Hosts.text), "\(answer)")
      #expect(answer.contains(#""model":"org/best""#) && !answer.contains(#""real""#), "\(answer)")
      let asked = try #require(host.requests.last { $0.path == "/v1/chat/completions" })
      #expect(String(decoding: asked.body, as: UTF8.self).contains(#""model":"real""#))

      #expect(try await cluster.tutti("models", "reset", "org/best").status == 0)
      try await Hosts.wait(until: false, "org/best", isOfferedBy: cluster)
    }

    @Test("a hidden model is answered; one that its host may not serve is not found")
    func hidden() async throws {
      let cluster = try RunningCluster.current()
      #expect(try await cluster.tutti("models", "set", "real", "--hide").status == 0)
      try await Hosts.wait(until: false, "real", isOfferedBy: cluster)
      let answer = try await Hosts.ask("real", race: "single", in: cluster)
      #expect(answer.contains(Hosts.text), "\(answer)")

      let pinned = try await cluster.tutti("models", "approve", "real", "elsewhere")
      #expect(pinned.status == 0 && pinned.output.contains("not approved"), "\(pinned)")
      _ = try await eventually("the gateway knows that no host may serve it") { () -> Bool? in
        let refused = try await Hosts.ask("real", race: "single", in: cluster)
        return refused.contains("model_not_found") ? true : nil
      }
      let list = try await cluster.tutti("models", "list")
      #expect(list.output.contains("1 not approved"), "\(list)")
      #expect(try await cluster.tutti("models", "reset", "real").status == 0)
      try await Hosts.wait(until: true, "real", isOfferedBy: cluster)
    }
  }
}
