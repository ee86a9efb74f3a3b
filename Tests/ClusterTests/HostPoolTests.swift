import ClusterTesting
import Foundation
import NIOHTTP1
import Testing

extension ProcessTests {
  @Suite(
    "Host pools of a cluster", .serialized, .timeLimit(.minutes(5)),
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct HostPoolTests {
    private let cluster: RunningCluster
    /// The host that gets the tag, and the other one.
    private let tagged: FaultyHost
    private let other: FaultyHost

    init() throws {
      (cluster, tagged, other) = try RunningCluster.currentOfTwo()
    }

    /// Number of requests for answers at the host without the tag.
    private var foreign: Int { other.requests.count { $0.method == "POST" } }

    /// Tags a host, and returns its id.
    private func tagHost() async throws -> String {
      let id = try await cluster.hostID(at: tagged.url)
      let set = try await cluster.tutti("hosts", "set", id, "--tag", "gpu", "--region", "fra-1")
      #expect(set.status == 0 && set.output.contains("gpu"), "\(set)")
      return id
    }

    /// Creates a key with a host pool, and waits until a host of the pool answers.
    private func pooledKey() async throws -> String {
      let (_, secret) = try await cluster.createKey(
        #"{"name": "pool", "permissions": {"host_pools": ["gpu"]}}"#)
      _ = try await eventually("a host of the pool answers") { () -> Bool? in
        try await cluster.chat(secret).status == 200 ? true : nil
      }
      return secret
    }

    @Test("requests and plans of a key with host pools reach no other host")
    func restricted() async throws {
      _ = try await tagHost()
      let secret = try await pooledKey()
      let before = foreign
      for race in ["dual", "hedged", "single"] {
        let reply = try await cluster.chat(secret, more: #","tutti":{"race":"\#(race)"}"#)
        #expect(reply.status == 200, "\(reply.text)")
      }
      for pattern in ["tutti/fast", "tutti/ensemble", "tutti/debate"] {
        let reply = try await cluster.chat(secret, model: pattern)
        #expect(reply.status == 200, "\(pattern): \(reply.text)")
      }
      #expect(foreign == before)
      let widened = try await cluster.chat(secret, more: #","tutti":{"host_pools":[]}"#)
      #expect(widened.status == 400, "\(widened.text)")
    }

    @Test("a key whose pools have no host sees no model, and the error names the reason")
    func excluded() async throws {
      let (_, secret) = try await cluster.createKey(
        #"{"name": "none", "permissions": {"host_pools": ["empty"]}}"#)
      let models = try await cluster.models(secret)
      #expect(!models.contains(FaultyHosts.model) && models.contains("tutti/fast"), "\(models)")
      for model in [FaultyHosts.model, "tutti/fast", "tutti/ensemble"] {
        let reply = try await cluster.chat(secret, model: model)
        #expect(reply.status == 503 && reply.text.contains("no_eligible_host"), "\(reply.text)")
        #expect(reply.text.contains("in none of the key's host pools (empty)"), "\(reply.text)")
      }
    }

    @Test("a drain waits for running answers, and a drained host gets no new ones")
    func drain() async throws {
      let id = try await tagHost()
      let secret = try await pooledKey()
      let gate = tagged.hold(.afterToken(2))
      async let answer = cluster.chat(secret, more: #","stream":true"#)
      await gate.reached()
      let early = try await cluster.tutti("hosts", "drain", id, "--wait", "2")
      #expect(early.status == 75 && early.errors.contains("1 request"), "\(early)")
      let refused = try await eventually("the gateway knows that the host is drained") {
        () -> ServerReply? in
        let reply = try await cluster.chat(secret)
        return reply.status == 503 ? reply : nil
      }
      #expect(refused.text.contains("drained by an admin"), "\(refused.text)")
      gate.open()
      let finished = try await answer
      #expect(finished.status == 200, "\(finished.text)")
      let late = try await cluster.tutti("hosts", "drain", id, "--wait", "60")
      #expect(late.status == 0, "\(late)")
      #expect(try await cluster.tutti("hosts", "resume", id).status == 0)
      let audit = try await cluster.tutti("audit", "--kind", "host", "--id", id)
      #expect(audit.status == 0 && audit.output.contains("drained"), "\(audit)")
    }

    @Test("a drain ends if an admin resumes the host, and does not drain it again")
    func resumedDrain() async throws {
      let id = try await tagHost()
      let secret = try await pooledKey()
      let gate = tagged.hold(.afterToken(2))
      async let answer = cluster.chat(secret, more: #","stream":true"#)
      await gate.reached()
      async let drain = cluster.tutti("hosts", "drain", id, "--wait", "60")
      _ = try await eventually("the host is drained") { () -> Bool? in
        try await cluster.admin(.GET, "/hosts/\(id)").text.contains("drained") ? true : nil
      }
      #expect(try await cluster.tutti("hosts", "resume", id).status == 0)
      let ended = try await drain
      #expect(ended.status == 1 && ended.errors.contains("was resumed"), "\(ended)")
      let host = try await cluster.admin(.GET, "/hosts/\(id)")
      #expect(!host.text.contains("drained"), "\(host.text)")
      gate.open()
      #expect(try await answer.status == 200)
    }
  }
}
