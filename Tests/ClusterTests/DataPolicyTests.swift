import ClusterTesting
import Foundation
import NIOHTTP1
import Testing

extension ProcessTests {
  @Suite(
    "Data policies of a cluster's keys", .serialized, .timeLimit(.minutes(5)),
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct DataPolicyTests {
    private let cluster: RunningCluster
    /// The host that an admin trusts, and the other one.
    private let trusted: FaultyHost
    private let other: FaultyHost

    init() throws {
      (cluster, trusted, other) = try RunningCluster.currentOfTwo()
    }

    /// Number of requests for answers at the host without trust.
    private var foreign: Int { other.requests.count { $0.method == "POST" } }

    @Test("a key's data policy limits the hosts of requests that state none")
    func keys() async throws {
      let id = try await cluster.hostID(at: trusted.url)
      let set = try await cluster.tutti("hosts", "set", id, "--trust", "trusted")
      #expect(set.status == 0, "\(set)")
      let (_, secret) = try await cluster.createKey(
        #"{"name": "trusted", "permissions": {"data_policies": ["trusted"]}}"#)
      _ = try await eventually("the trusted host answers") { () -> Bool? in
        try await cluster.chat(secret).status == 200 ? true : nil
      }
      let before = foreign
      for model in [FaultyHosts.model, "tutti/fast", "tutti/ensemble", "tutti/debate"] {
        let reply = try await cluster.chat(secret, model: model)
        #expect(reply.status == 200, "\(model): \(reply.text)")
      }
      #expect(foreign == before)
      #expect(try await cluster.models(secret).contains(FaultyHosts.model))

      let weaker = try await cluster.chat(secret, more: #","tutti":{"data_policy":"any"}"#)
      #expect(weaker.status == 403 && weaker.text.contains("tutti.data_policy"), "\(weaker.text)")
      let stricter = try await cluster.chat(secret, more: #","tutti":{"data_policy":"local"}"#)
      #expect(
        stricter.status == 503 && stricter.text.contains("may not see data of policy"),
        "\(stricter.text)")
      let ask = try await cluster.tutti(
        "ask", "-m", FaultyHosts.model, "--data-policy", "local", "Hello",
        environment: ["TUTTI_API_KEY": secret])
      #expect(ask.status != 0 && ask.errors.contains("may not see data of policy"), "\(ask)")

      let (_, local) = try await cluster.createKey(
        #"{"name": "local", "permissions": {"data_policies": ["local"]}}"#)
      let listed = try await cluster.models(local)
      #expect(!listed.contains(FaultyHosts.model) && listed.contains("tutti/fast"), "\(listed)")
      #expect(try await cluster.chat(local).status == 503)
    }
  }
}
