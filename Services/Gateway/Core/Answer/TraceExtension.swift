public import ClusterModel
import Limits
public import Money
public import Text

/// The member `tutti` of an answer to a request with `"trace": true`.
public enum TraceExtension {
  /// Times since the request began. `nil` means never.
  public struct Times: Hashable, Sendable {
    /// Time of the first progress line.
    public var firstProgress: Duration?
    /// Time of the first piece of the answer.
    public var firstToken: Duration?

    public init(firstProgress: Duration? = nil, firstToken: Duration? = nil) {
      self.firstProgress = firstProgress
      self.firstToken = firstToken
    }
  }

  /// - Parameters:
  ///   - estimate: the outcome of the planner's estimate. `nil` means that the planner made none.
  ///   - hasOutputs: whether to include the tasks' outputs, up to `Limits.tracedOutputBytes`.
  ///   - costs: tokens and costs of the hosts. `nil` means that no price is known.
  ///   - cost: the client's charge in credits. `nil` means that the request is not billed.
  ///   - cut: the limit by a budget. `nil` means that none limits the answer.
  public static func json(
    _ trace: TraceID, _ plan: PlanTrace, _ times: Times, estimate: EstimateOutcome? = nil,
    hasOutputs: Bool = false, costs: HostCosts? = nil, cost: MicroCredits? = nil,
    cut: BudgetCut? = nil
  ) -> JSON {
    let costs = costs ?? HostCosts(plan: plan, model: "", table: .empty)
    var members = head(trace, pattern: plan.plan.pattern, seed: plan.plan.seed)
    if !plan.plan.reason.isEmpty { members.append(("reason", .string(plan.plan.reason))) }
    members += body(
      plan.tasks, hosts: plan.hosts, costs, sinkUsage: plan.ending?.sinkUsage ?? .zero,
      outputs: hasOutputs ? plan.outputs(within: Limits.tracedOutputBytes.value) : [:])
    members += [
      (
        "expansions",
        .array(
          plan.expansions.map { expansion in
            [
              "task": .string(expansion.task.name),
              "tasks": .array(expansion.tasks.map { .string($0.name) }),
            ]
          })
      ),
      ("finish_reason", plan.ending.map { .string($0.finishReason) } ?? nil),
      ("first_progress_ms", milliseconds(times.firstProgress)),
      ("first_token_ms", milliseconds(times.firstToken)),
    ]
    if let estimate { members.append(("estimate", json(estimate))) }
    if let cost { members.append(("cost", .string(cost.credits))) }
    if let cut { members.append(("limited_by", cut.json)) }
    return .object(members)
  }

  private static func json(_ outcome: EstimateOutcome) -> JSON {
    json(
      outcome.estimate, outcome.correction,
      then: [
        ("took_ms", .integer(outcome.milliseconds)), ("tokens", .integer(outcome.tokens)),
        ("outcome", .string(outcome.verdict.rawValue)),
      ])
  }

  /// The predictions for a direct answer and for a split, each without and with the correction.
  static func json(
    _ estimate: PlanEstimate, _ correction: EstimateCorrection, then more: [(String, JSON)] = []
  ) -> JSON {
    func way(_ way: PlanEstimate.Way, _ percent: Int) -> JSON {
      [
        "predicted_ms": .integer(way.milliseconds),
        "corrected_ms": .integer(way.milliseconds.multipliedCapped(by: percent) / 100),
        "tokens": .integer(way.tokens),
      ]
    }
    return .object(
      [
        ("decision", .string(estimate.decision.rawValue)),
        ("direct", way(estimate.direct, correction.directPercent)),
        ("split", way(estimate.split, correction.splitPercent(for: estimate.decision))),
      ] + more)
  }

  /// The trace of a direct answer.
  /// - Parameters:
  ///   - reason: why there is no plan. `nil` means that the client did not ask for a plan.
  ///   - finishReason: why the answer ended. Empty for embeddings.
  ///   - costs: tokens and costs of the hosts.
  ///   - cost: the client's charge in credits. `nil` means that the request is not billed.
  ///   - cut: the limit by a budget. `nil` means that none limits the answer.
  public static func direct(
    trace: TraceID, seed: UInt64, reason: String? = nil, host: HostID, model: ModelID,
    usage: Usage, finishReason: String = "", firstToken: Duration, total: Duration,
    attempts: [AttemptFacts], costs: HostCosts = .none, cost: MicroCredits? = nil,
    cut: BudgetCut? = nil
  ) -> JSON {
    var line = PlanTrace.TaskLine(id: "direct", role: .reasoning, agent: "")
    line.host = host
    line.model = model
    line.status = .done
    line.usage = usage
    line.firstTokenMilliseconds = Int(firstToken.wholeMilliseconds)
    line.totalMilliseconds = Int(total.wholeMilliseconds)
    var hosts: [HostID] = []
    for host in attempts.map(\.host) where !hosts.contains(host) { hosts.append(host) }
    var members = head(trace, pattern: Plan.direct, seed: seed)
    if let reason { members.append(("reason", .string(reason))) }
    // No agent took part, so the task has no role.
    members += body(
      [line], hosts: hosts, costs, sinkUsage: usage, isDirect: true)
    if !finishReason.isEmpty { members.append(("finish_reason", .string(finishReason))) }
    members.append(("attempts", .array(attempts.map(json))))
    if let cost { members.append(("cost", .string(cost.credits))) }
    if let cut { members.append(("limited_by", cut.json)) }
    return .object(members)
  }

  // MARK: - Parts

  private static func head(
    _ trace: TraceID, pattern: String, seed: UInt64
  ) -> [(String, JSON)] {
    [
      ("trace_id", .string(trace.description)), ("pattern", .string(pattern)),
      // The seed is a string, because it has 64 bits and JavaScript's integers have 53.
      ("seed", .string(String(Int64(bitPattern: seed)))),
    ]
  }

  /// - Parameter isDirect: whether no agent took part, so that the only task has no role and the
  ///   cost of all hosts.
  private static func body(
    _ tasks: [PlanTrace.TaskLine], hosts: [HostID], _ costs: HostCosts, sinkUsage: Usage,
    isDirect: Bool = false, outputs: [TaskID: PlanTrace.Output] = [:]
  ) -> [(String, JSON)] {
    let byHost = grouped(costs.shares, by: \.host.name)
    let byModel = grouped(costs.shares, by: \.model.name)
    let lines = tasks.map { task in
      line(
        task, hasRole: !isDirect, cost: isDirect ? costs.total : costs.byTask[task.id],
        outputs[task.id])
    }
    return [
      ("tasks", .array(lines)),
      ("hosts", .array(hosts.map { .string($0.name) })),
      ("usage_by_host", usages(byHost)), ("usage_by_model", usages(byModel)),
      ("cost_by_host", amounts(byHost)), ("cost_by_model", amounts(byModel)),
      ("host_cost", amount(costs.total)), ("sink_usage", ChatComposer.usage(sinkUsage)),
    ]
  }

  /// The shares with the same name, in the order of the first of them.
  private static func grouped(
    _ shares: [HostShare], by name: (HostShare) -> String
  ) -> [(name: String, shares: [HostShare])] {
    var groups: [(name: String, shares: [HostShare])] = []
    for share in shares {
      if let index = groups.firstIndex(where: { $0.name == name(share) }) {
        groups[index].shares.append(share)
      } else {
        groups.append((name(share), [share]))
      }
    }
    return groups
  }

  private static func usages(_ groups: [(name: String, shares: [HostShare])]) -> JSON {
    .object(
      groups.map { group in
        let usage = group.shares.reduce(Usage.zero) {
          $0
            + Usage(promptTokens: $1.promptTokens, completionTokens: $1.completionTokens)
        }
        return (group.name, ChatComposer.usage(usage))
      })
  }

  private static func amounts(_ groups: [(name: String, shares: [HostShare])]) -> JSON {
    .object(groups.map { ($0.name, amount(HostCosts.sum($0.shares))) })
  }

  /// An amount of credits as a string. An unknown one is `null`.
  private static func amount(_ amount: CreditAmount?) -> JSON {
    amount.map { .string($0.description) } ?? nil
  }

  private static func line(
    _ task: PlanTrace.TaskLine, hasRole: Bool, cost: CreditAmount?, _ output: PlanTrace.Output?
  ) -> JSON {
    var members: [(String, JSON)] = [("id", .string(task.id.name))]
    // A task that the dispatcher computes has no role. A task that no agent took has its role, but
    // no agent.
    members += [
      ("role", hasRole && !task.merge.isMechanical ? .string(task.role.rawValue) : nil),
      ("agent", task.agent.isEmpty ? nil : .string(task.agent)),
      ("host", task.host.map { .string($0.name) } ?? nil),
      ("model", task.model.map { .string($0.name) } ?? nil),
      ("status", .string(task.status?.rawValue ?? "unfinished")),
      ("first_token_ms", .integer(task.firstTokenMilliseconds)),
      ("total_ms", .integer(task.totalMilliseconds)),
      ("tokens", .integer(task.usage.completionTokens)),
      ("usage", ChatComposer.usage(task.usage)), ("host_cost", amount(cost)),
      ("inputs", .array(task.inputs.map { .string($0.name) })),
    ]
    if task.merge.isMechanical { members.append(("merge", .string(task.merge.rawValue))) }
    if !task.reason.isEmpty { members.append(("reason", .string(task.reason))) }
    if let source = task.textOf { members.append(("text_of", .string(source.name))) }
    if !task.excerpts.isEmpty {
      members.append(("excerpts", .array(task.excerpts.map(json))))
    }
    if let output {
      members.append(("output", .string(output.text)))
      if output.isCut { members.append(("output_bytes", .integer(output.bytes))) }
    }
    return .object(members)
  }

  private static func json(_ excerpt: DocumentExcerpt) -> JSON {
    [
      "document": .string(excerpt.document), "bytes": .integer(excerpt.bytes),
      "read_bytes": .integer(excerpt.readBytes),
    ]
  }

  private static func json(_ attempt: AttemptFacts) -> JSON {
    var members: [(String, JSON)] = [
      ("host", .string(attempt.host.name)), ("role", .string(attempt.role)),
      ("outcome", .string(attempt.outcome)), ("tokens", .integer(attempt.tokens)),
      ("started_ms", milliseconds(attempt.started)), ("ended_ms", milliseconds(attempt.ended)),
    ]
    if !attempt.changes.isEmpty {
      members.append(("changes", .array(attempt.changes.map { .string($0) })))
    }
    if attempt.isPanic { members.append(("breaker", .string("open"))) }
    if !attempt.chosen.isEmpty { members.append(("chosen", .string(attempt.chosen))) }
    if !attempt.ending.isEmpty { members.append(("ending", .string(attempt.ending))) }
    return .object(members)
  }

  private static func milliseconds(_ duration: Duration?) -> JSON {
    duration.map { .integer(Int($0.wholeMilliseconds)) } ?? nil
  }
}
