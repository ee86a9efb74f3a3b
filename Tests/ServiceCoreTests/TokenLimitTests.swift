import AgentCore
import ClusterModel
import Testing

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
