import ClusterTesting
import NIOHTTP1
import Testing

extension ProcessTests {
  @Suite(
    "Refused requests of a cluster", .serialized,
    .cluster {
      // The planner has no copies of the keys, so it shows its metrics only by this setting.
      try await RunningCluster.start(
        .faulty(FaultyHosts.two()), settings: "cluster:\n  open_metrics: true\n")
    })
  struct RefusalTests {
    /// A request that is refused, with the statuses that it may get.
    private struct Refused: Sendable {
      var secret: String?
      var path = "/v1/chat/completions"
      var model = FaultyHosts.model
      let statuses: Set<Int>

      var body: String {
        path.hasSuffix("embeddings")
          ? #"{"model":"\#(model)","input":"Hello"}"#
          : #"{"model":"\#(model)","messages":[{"role":"user","content":"Hello"}]}"#
      }
    }

    private static let plan = "tutti/ensemble"
    private static let count = 10_000
    private static let clients = 32

    private let cluster: RunningCluster

    init() throws { cluster = try RunningCluster.current() }

    /// Requests without a key, with a wrong key, above a limit or budget, and outside a scope.
    private func refusals() async throws -> [Refused] {
      let (_, limited) = try await cluster.createKey(
        #"{"name":"limited","limits":{"requests_per_day":1}}"#)
      let (_, poor) = try await cluster.createKey(#"{"name":"poor","account":"poor"}"#)
      let (_, chat) = try await cluster.createKey(#"{"name":"chat","scopes":["chat"]}"#)
      #expect(try await cluster.chat(limited).status == 200)
      let made = try await cluster.admin(
        .POST, "/organisations", #"{"id":"poor","budgets":[{"amount":"0","period":"year"}]}"#)
      #expect(made.status == 201, "\(made.text)")
      let price = try await cluster.admin(
        .POST, "/prices", #"{"model":"\#(FaultyHosts.model)","input":"1","output":"2"}"#)
      #expect(price.status == 201, "\(price.text)")
      _ = try await eventually("the price is in force") { () -> Bool? in
        try await cluster.chat(poor).status == 402 ? true : nil
      }
      // No key of the cluster has this id, so no request of the client's address succeeded with it.
      let wrong = "tutti-aaaaaaaaaaaa\(chat.dropFirst("tutti-".count + 12))"
      return [
        Refused(statuses: [401]),
        Refused(model: Self.plan, statuses: [401]),
        // After 20 wrong keys, the address has to wait.
        Refused(secret: wrong, model: Self.plan, statuses: [401, 429]),
        Refused(secret: limited, model: Self.plan, statuses: [429]),
        Refused(secret: poor, statuses: [402]),
        Refused(secret: poor, model: Self.plan, statuses: [402]),
        Refused(secret: poor, path: "/v1/plans", model: Self.plan, statuses: [402]),
        Refused(secret: poor, path: "/v1/plans", model: "tutti/auto", statuses: [402]),
        Refused(secret: chat, model: Self.plan, statuses: [403]),
        Refused(secret: chat, path: "/v1/embeddings", statuses: [403]),
      ]
    }

    /// Plans that the planner has made, as lines of its metrics.
    private func plans() async throws -> [Substring] {
      let metrics = try await cluster.get(cluster.planner + "/metrics")
      #expect(metrics.status == 200)
      return metrics.body.split(separator: "\n").filter {
        $0.hasPrefix("tutti_planner_plans_total")
      }
    }

    @Test("10,000 refused requests reach neither the planner nor a host")
    func nothingComputed() async throws {
      guard case .faulty(let hosts) = cluster.hosts else { return }
      let refusals = try await refusals()
      let inferences = hosts.map(\.counts.inferences)
      let made = try await plans()
      let wrong = try await withThrowingTaskGroup(of: [String].self) { group in
        for client in 0..<Self.clients {
          group.addTask { [cluster] in
            var wrong: [String] = []
            for number in stride(from: client, to: Self.count, by: Self.clients) {
              let refused = refusals[number % refusals.count]
              let reply = try await cluster.send(
                .POST, cluster.gateway + refused.path, refused.secret, refused.body)
              if !refused.statuses.contains(reply.status) { wrong.append(reply.text) }
            }
            return wrong
          }
        }
        return try await group.reduce(into: [String]()) { $0 += $1 }
      }
      #expect(wrong.isEmpty, "\(wrong.count): \(wrong.prefix(3))")
      #expect(hosts.map(\.counts.inferences) == inferences)
      #expect(try await plans() == made)
    }
  }
}
