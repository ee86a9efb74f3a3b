public import ClusterModel
import Limits
public import Money
import Text

/// Estimated cost of a plan or of a direct answer, before it runs.
///
/// A plan that grows while it runs has at least these figures.
public struct PlanFigures: Equatable, Sendable {
  /// Model calls of the tasks that are known.
  public private(set) var calls = 0
  /// Model calls if every task that may lead to more tasks does so. A second call because of a
  /// broken output contract is not counted.
  public private(set) var mostCalls = 0
  public private(set) var usage = Usage.zero
  /// `nil` means that the request needs no key, so no price is known.
  public private(set) var credits: MicroCredits?
  /// `nil` means that no host has been measured.
  public private(set) var milliseconds: Int?

  /// - Parameters:
  ///   - hosts: the hosts with which the plan was made.
  ///   - correction: the correction with which the plan was made.
  public init(
    of plan: Plan, for request: ClientRequest, hosts: [HostFacts], price: RequestPrice?,
    correction: EstimateCorrection = .none
  ) {
    let usages = request.expectedUsages(of: plan)
    credits = price.map { _ in .zero }
    let pace = Pace(hosts)
    var times: [TaskID: Int] = [:]
    for (task, usage) in zip(plan.tasks, usages) where !task.merge.isMechanical {
      count(usage, price.map { price in task.model.map(price.price(of:)) ?? price.highest })
      times[task.id] = pace?.milliseconds(writing: usage.completionTokens)
    }
    mostCalls = max(calls, Self.mostCalls(of: plan, drafts: calls, for: request))
    guard let pace else { return }
    if let estimate = plan.estimate, estimate.decision != .proposal {
      let percent =
        estimate.decision == .direct
        ? correction.directPercent : correction.splitPercent(for: estimate.decision)
      milliseconds = estimate.taken.milliseconds.multipliedCapped(by: percent) / 100
    } else {
      milliseconds = pace.milliseconds(of: plan, times)
    }
  }

  /// The figures of one call without a plan.
  ///
  /// - Parameter model: `nil` means any chat model.
  public init(
    directlyFor request: ClientRequest, model: ModelID?, hosts: [HostFacts], price: RequestPrice?
  ) {
    credits = price.map { _ in .zero }
    let usage = request.expectedDirectUsage
    count(usage, price.map { price in model.map(price.price(of:)) ?? price.highest })
    mostCalls = calls
    milliseconds = Pace(hosts)?.milliseconds(writing: usage.completionTokens)
  }

  /// Whether a task may lead to more tasks.
  public var grows: Bool { mostCalls > calls }

  /// Model calls of the largest plan that can grow from a plan.
  /// - Parameter drafts: model calls of the plan as it is.
  private static func mostCalls(of plan: Plan, drafts: Int, for request: ClientRequest) -> Int {
    guard plan.tasks.contains(where: { $0.expansion != nil }) else { return drafts }
    switch PatternName(rawValue: plan.pattern) {
    // The positions, an answer of each member per round, and the final answer.
    case .debate:
      let rounds = request.options.rounds ?? OptionRanges.defaultRounds
      return drafts.multipliedCapped(by: rounds.addingCapped(1)).addingCapped(1)
    // Analysis, six specialists, draft, two repairs, three reviews, and the answer.
    case .maestro: return 14
    // The call that names the parts, eight parts, and the call that joins them.
    case .decompose, .auto: return 10
    case .ensemble, nil: return drafts
    }
  }

  private mutating func count(_ usage: Usage, _ price: TokenPrice?) {
    calls += 1
    self.usage = self.usage + usage
    guard let price, let known = credits,
      let tokens = try? TokenUsage(
        prompt: Int64(usage.promptTokens), completion: Int64(usage.completionTokens)),
      let cost = try? price.cost(of: tokens), let sum = try? known.adding(cost)
    else {
      credits = nil
      return
    }
    credits = sum
  }

  // MARK: - Output

  var json: JSON {
    [
      "calls": ["least": .integer(calls), "most": .integer(mostCalls)],
      "prompt_tokens": .integer(usage.promptTokens),
      "completion_tokens": .integer(usage.completionTokens),
      "credits": credits.map { .string($0.credits) } ?? nil,
      "duration_ms": milliseconds.map { .integer($0) } ?? nil,
    ]
  }

  /// One line for people.
  var text: String {
    var facts = [
      counted(calls, "call"),
      "about \(usage.promptTokens) tokens read and \(usage.completionTokens) written",
    ]
    if let credits { facts.append("\(credits.credits) credits") }
    if let milliseconds { facts.append("about \(Self.seconds(milliseconds))") }
    let all = facts.joined(separator: ", ")
    guard grows else { return "costs: \(all)" }
    return "costs: at least \(all); the plan may grow to \(mostCalls) calls"
  }

  private static func seconds(_ milliseconds: Int) -> String {
    // Estimates of long answers are not exact to a tenth of a second.
    if milliseconds >= 10_000 { return "\(milliseconds.addingCapped(500) / 1_000) s" }
    let tenths = milliseconds.addingCapped(50) / 100
    return "\(tenths / 10).\(tenths % 10) s"
  }
}

/// Speed of the hosts that were measured.
private struct Pace {
  /// Tokens per second of one answer, in thousandths.
  private let rateMilli: Int
  private let firstTokenMilliseconds: Int
  /// Answers that can be written at the same time.
  private let slots: Int

  /// - Returns: `nil` if no host has been measured.
  init?(_ hosts: [HostFacts]) {
    let measured = hosts.filter { $0.rateMilli > 0 }.sorted { $0.rateMilli < $1.rateMilli }
    guard !measured.isEmpty else { return nil }
    let median = measured[measured.count / 2]
    rateMilli = median.rateMilli
    firstTokenMilliseconds = max(0, median.firstTokenMilliseconds)
    slots = max(1, hosts.reduce(0) { $0.addingCapped(max(0, $1.freeSlots)) })
  }

  func milliseconds(writing tokens: Int) -> Int {
    (tokens.multipliedCapped(by: 1_000_000) / rateMilli).addingCapped(firstTokenMilliseconds)
  }

  /// Time of a plan: its longest chain of tasks, or all tasks shared among the slots if that is
  /// longer.
  func milliseconds(of plan: Plan, _ times: [TaskID: Int]) -> Int {
    // Each pass extends the chains by one task, so a valid plan needs as many passes as it is deep.
    var ends = times
    for _ in plan.tasks {
      let before = ends
      for task in plan.tasks {
        let start = task.inputs.map { before[$0.from] ?? 0 }.max() ?? 0
        ends[task.id] = start.addingCapped(times[task.id] ?? 0)
      }
      if ends == before { break }
    }
    let work = times.values.reduce(0) { $0.addingCapped($1) }
    return max(ends.values.max() ?? 0, work / slots)
  }
}
