import AgentCore
import ClusterModel
import PlannerCore
import Testing

@Suite("Turns over hosts")
struct HostTurnTests {
  static func table(_ hosts: [Host]) -> HostTable {
    HostTable(epoch: 1, revision: 1, hosts: hosts)
  }

  static func host(
    _ id: HostID, state: HostState = .ready, tier: HostTier = .community,
    trust: DataPolicy = .local, models: [ModelID] = ["m"]
  ) -> Host {
    Host(
      id: id, url: "http://\(id)", tier: tier, trust: trust, state: state,
      models: models.map { ModelOffer(id: $0) })
  }

  static func order(seed: UInt64, isSink: Bool = false, policy: DataPolicy = .any) -> TaskOrder {
    TaskOrder(
      plan: "p", task: PlanTask(id: "t", role: .research, seed: seed),
      conversation: Conversation(messagesJSON: []), isSink: isSink, dataPolicy: policy,
      avoidHosts: ["busy"])
  }

  @Test("members of one ensemble spread over hosts as evenly as they can, whatever the seed")
  func spread() throws {
    for count in 2...4 {
      let hosts = Self.table((0..<count).map { Self.host(HostID("h\($0)")) })
      for seed in UInt64(0)..<200 {
        let plan = try makePlan(
          PlanRequest(
            pattern: "tutti/ensemble", query: "?", members: 6, seed: seed, available: ["m"]),
          id: "p")
        var shares: [HostID: Int] = [:]
        for task in plan.tasks.dropLast() {
          let avoided = HostTurn.avoided(
            by: Self.order(seed: task.seed), model: "m", hosts: hosts)
          let left = hosts.hosts.map(\.id).filter { !avoided.contains($0) }
          try #require(left.count == 1)
          shares[left[0], default: 0] += 1
        }
        #expect(shares.count == count)
        #expect((shares.values.max() ?? 0) - (shares.values.min() ?? 0) <= 1, "seed \(seed)")
      }
    }
  }

  @Test("a host that the dispatcher chose is avoided by nobody, and nobody else instead of it")
  func chosen() {
    var order = Self.order(seed: 1)
    order.host = "busy"
    let two = Self.table([Self.host("a"), Self.host("busy")])
    #expect(HostTurn.avoided(by: order, model: "m", hosts: two) == [])
    order.host = "a"
    #expect(HostTurn.avoided(by: order, model: "m", hosts: two) == ["busy"])
  }

  @Test("hosts that could not answer take no turn")
  func unable() {
    let hosts = Self.table([
      Self.host("down", state: .unreachable), Self.host("fallback", tier: .fallback),
      Self.host("stranger", trust: .any), Self.host("other", models: ["x"]), Self.host("a"),
      Self.host("b"),
    ])
    for seed in UInt64(0)..<8 {
      let avoided = HostTurn.avoided(
        by: Self.order(seed: seed, policy: .local), model: "m", hosts: hosts)
      #expect(avoided == [seed % 2 == 0 ? "b" : "a"])
    }
  }

  @Test("the sink, a lone host and an open choice of model leave it to the hosts' load")
  func noTurn() {
    let two = Self.table([Self.host("a"), Self.host("b")])
    #expect(
      HostTurn.avoided(by: Self.order(seed: 1, isSink: true), model: "m", hosts: two) == ["busy"])
    #expect(HostTurn.avoided(by: Self.order(seed: 1), model: nil, hosts: two) == ["busy"])
    let one = Self.table([Self.host("a")])
    #expect(HostTurn.avoided(by: Self.order(seed: 1), model: "m", hosts: one) == ["busy"])
  }
}

@Suite("Token limits")
struct TokenLimitTests {
  static func body(client: [(String, String)], task: Int?, isSink: Bool = true) throws -> String {
    let order = TaskOrder(
      plan: "p", task: PlanTask(id: "t", role: .coordinator, maxTokens: task),
      conversation: Conversation(
        messagesJSON: Array(#"[{"role":"user","content":"hi"}]"#.utf8),
        parameters: client.map { .init(name: $0.0, json: Array($0.1.utf8)) }),
      isSink: isSink)
    let role = Role(
      name: .coordinator, systemPrompt: "s",
      profile: ParameterProfile(temperatureMilli: 500, topPMilli: 900, maxTokens: 777))
    return String(decoding: try RequestComposition.body(for: order, role: role), as: UTF8.self)
  }

  @Test("the smaller of the client's limit and the budget's share holds, in either spelling")
  func smaller() throws {
    for name in ["max_tokens", "max_completion_tokens"] {
      let kept = try Self.body(client: [(name, "40")], task: 100)
      #expect(kept.contains("\"\(name)\":40"))
      #expect(!kept.contains("100"))
      let lowered = try Self.body(client: [(name, "4000")], task: 100)
      #expect(lowered.contains("\"\(name)\":100"))
      #expect(!lowered.contains("4000"))
    }
  }

  @Test("without a share the client's limit stays; without either, a role's holds in between")
  func one() throws {
    #expect(try Self.body(client: [("max_tokens", "4000")], task: nil).contains("4000"))
    #expect(try !Self.body(client: [], task: nil).contains("max_tokens"))
    #expect(try Self.body(client: [], task: nil, isSink: false).contains(#""max_tokens":777"#))
    #expect(try Self.body(client: [], task: 50).contains(#""max_tokens":50"#))
    // A limit that is not a number is left for the host to refuse.
    #expect(try Self.body(client: [("max_tokens", "\"x\"")], task: nil).contains(#":"x""#))
  }
}
