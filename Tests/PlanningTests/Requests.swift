import ClusterModel
import ClusterTesting
import PlannerCore
import Testing

/// Hosts, requests and plans that many tests share.
enum Requests {
  static func hosts(_ count: Int, models: [ModelID] = ["small"], slots: Int = 1) -> [HostFacts] {
    (0..<count).map {
      HostFacts(
        id: HostID("host-\($0)"), models: models, freeSlots: slots, rateMilli: 40_000,
        firstTokenMilliseconds: 300)
    }
  }

  static func request(
    _ pattern: PatternName, _ query: String = "Why is the sky blue?", hosts: [HostFacts] = hosts(4),
    models: [ModelID] = [], members: Int? = nil, rounds: Int? = nil, quorum: Int? = nil,
    seed: UInt64 = 7, maxTokens: Int? = nil, available: [ModelID] = ["alpha", "beta", "gamma"],
    budget: Int? = nil, documents: [DocumentFacts] = [], isStructured: Bool = false,
    conversationTokens: Int = 0
  ) -> PlanRequest {
    PlanRequest(
      pattern: pattern.rawValue, query: query, models: models, members: members, rounds: rounds,
      quorum: quorum, seed: seed, maxTokens: maxTokens, available: available,
      budgetTokens: budget, hosts: hosts, documents: documents,
      conversationTokens: conversationTokens, isStructured: isStructured)
  }

  static func plan(_ request: PlanRequest) throws -> Plan { try makePlan(request, id: "p") }
}

/// Runs a plan's expansions as a dispatcher would, with task outputs given by the test.
struct Rehearsal {
  let request: PlanRequest
  private(set) var plan: Plan

  init(_ request: PlanRequest) throws {
    self.request = request
    plan = try makePlan(request, id: "p")
  }

  func task(_ id: TaskID) throws -> PlanTask {
    try #require(plan.tasks.first { $0.id == id }, "\(plan.tasks.map(\.id))")
  }

  /// The first task with a pending expansion.
  var expanding: PlanTask? { plan.tasks.first { $0.expansion != nil } }

  /// Ends a task and splices its expansion.
  /// - Parameter texts: outputs of the tasks that it reads. Tasks without a text have failed.
  @discardableResult
  mutating func end(
    _ id: TaskID, with output: String, reading texts: [TaskID: String] = [:]
  ) throws -> SubPlan {
    let ended = try task(id)
    let inputs = ended.inputs.compactMap { edge in
      texts[edge.from].map { TaskOrder.NamedInput(name: edge.name, text: $0) }
    }
    let expand = ExpandRequest(
      plan: plan, task: id, output: output, inputs: inputs, request: request)
    let sub = expandPlan(expand)
    #expect(expandPlan(expand) == sub, "the same output leads to the same tasks")
    plan = try plan.splicing(sub, at: id)
    return sub
  }
}
