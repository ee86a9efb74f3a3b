public import ClusterModel
import Limits
public import Text

/// The response of `POST /v1/plans`: the plan for a request, without running it.
public enum PlanPreview {
  public static let path = "/v1/plans"

  /// - Parameter correction: the correction with which the plan was made.
  public static func json(
    _ plan: Plan, _ figures: PlanFigures, correction: EstimateCorrection = .none
  ) -> JSON {
    [
      "plan": self.plan(plan, correction), "figures": figures.json,
      "text": .string("\(plan.text)\(figures.text)\n"), "mermaid": .string(plan.mermaid),
      "graphviz": .string(plan.graphviz),
    ]
  }

  /// Reason of a direct answer for a model name that never has a plan.
  public static func reason(directlyBy model: ModelID) -> String {
    "`\(model.name.cut(toBytes: Limits.errorNameBytes.value))` is answered by one call; plans are "
      + "made for \(GatewayRouting.patterns.joined(separator: ", "))"
  }

  /// The response if one call would answer.
  public static func direct(reason: String, _ figures: PlanFigures) -> JSON {
    [
      "plan": nil, "reason": .string(reason), "figures": figures.json,
      "text": .string("direct: \(reason)\n\(figures.text)\n"),
      "mermaid": .string("flowchart TD\n  direct[\"direct\"]\n"),
      "graphviz": .string("digraph plan {\n  \"direct\";\n}\n"),
    ]
  }

  private static func plan(_ plan: Plan, _ correction: EstimateCorrection) -> JSON {
    var members: [(String, JSON)] = [
      // The id is omitted, because nothing runs under it and the same question has the same plan.
      ("pattern", .string(plan.pattern)), ("reason", .string(plan.reason)),
      // The seed is a string, because it has 64 bits and JavaScript's integers have 53.
      ("seed", .string(String(Int64(bitPattern: plan.seed)))),
      ("deadline_ms", .integer(Int(plan.deadline.wholeMilliseconds))),
      ("sink", .string(plan.sink.name)), ("tasks", .array(plan.tasks.map(task))),
    ]
    if let estimate = plan.estimate {
      members.append(("estimate", TraceExtension.json(estimate, correction)))
    }
    return .object(members)
  }

  private static func task(_ task: PlanTask) -> JSON {
    var members: [(String, JSON)] = [
      ("id", .string(task.id.name)),
      ("role", task.merge.isMechanical ? nil : .string(task.role.rawValue)),
      (
        "inputs",
        .array(task.inputs.map { ["from": .string($0.from.name), "name": .string($0.name)] })
      ),
      ("merge", .string(task.merge.rawValue)), ("contract", contract(task.contract)),
      ("on_failure", .string(task.onFailure.rawValue)),
    ]
    func add(_ name: String, _ value: JSON?) {
      if let value { members.append((name, value)) }
    }
    func add(_ name: String, _ value: Int?) { add(name, value.map { .integer($0) }) }
    add("quorum", task.quorum)
    add("model", task.model.map { .string($0.name) })
    add("max_tokens", task.maxTokens)
    add("deadline_ms", task.deadline.map { Int($0.wholeMilliseconds) })
    add("deadline_share", task.deadlineShare)
    add("temperature_milli", task.temperatureMilli)
    add("profile", task.profile.map { .string($0.rawValue) })
    add("data_policy", task.dataPolicy.map { .string($0.rawValue) })
    add("expansion", task.expansion.map { .string($0) })
    if !task.readsConversation { add("reads_conversation", JSON.boolean(false)) }
    if !task.documents.isEmpty { add("documents", .array(task.documents.map { .string($0) })) }
    add(
      "document_part",
      task.documentPart.map { ["number": .integer($0.number), "count": .integer($0.count)] })
    if !task.instruction.isEmpty { add("instruction", JSON.string(task.instruction)) }
    return .object(members)
  }

  private static func contract(_ contract: OutputContract) -> JSON {
    switch contract {
    case .text: ["kind": "text"]
    case .json(let schema): ["kind": "json", "schema": .string(schema)]
    case .choice(let words): ["kind": "choice", "words": .array(words.map { .string($0) })]
    case .vector: ["kind": "vector"]
    }
  }
}
