public import ClusterModel
public import InferenceCore
import Limits
import Money

/// Tokens that hosts processed for one request, and their cost at the hosts' own prices.
///
/// Hosts that lost a race count if they made tokens. So the tokens of all hosts may be more than
/// the usage of the request. The attempts are the same as those of a bill.
public struct HostCosts: Hashable, Sendable {
  public static let none = HostCosts()

  /// One share per host and model, the one with the most tokens first.
  public private(set) var shares: [HostShare] = []
  /// Costs of a plan's tasks. A task that no host worked for, or whose host has an unknown price,
  /// is not in it.
  private(set) var byTask: [TaskID: CreditAmount] = [:]

  private init() {}

  /// The costs of an answer by one or more hosts.
  ///
  /// - Parameters:
  ///   - usage: tokens of the answer: the prompt once.
  ///   - table: hosts with their prices.
  public init(attempts: [AttemptRecord], usage: Usage, table: HostTable) {
    let settled = RequestBill.attempts(attempts.map(\.paid), TokenUsage(usage))
    add(settled, table)
    sort()
  }

  /// The costs of a plan.
  ///
  /// - Parameters:
  ///   - model: model of tasks whose model is unknown.
  ///   - written: tokens of the answer that the client received. They count if the task that writes
  ///     the answer has reported no usage.
  ///   - table: hosts with their prices, and with their own names of models that are aliases.
  ///   - credible: returns the tokens of a task that count.
  public init(
    plan trace: PlanTrace, model: ModelID, written: Int = 0, table: HostTable,
    credible: (PlanTrace.TaskLine) -> Usage = \.usage
  ) {
    let tasks = RequestBill.answers(
      plan: trace, model: model, written: nil, price: .free, table: table
    ) { line in
      let usage = credible(line)
      guard usage == .zero, written > 0, trace.isAnswer(line) else { return usage }
      return Usage(promptTokens: 0, completionTokens: written, estimated: true)
    }
    for (task, answers) in tasks {
      var own = HostCosts()
      for answer in answers { own.add(answer.attempts, table) }
      byTask[task] = own.total
      for share in own.shares { merge(share) }
    }
    sort()
  }

  /// Cost of all hosts. `nil` means that no host worked, or that the price of one is unknown.
  public var total: CreditAmount? { Self.sum(shares) }

  /// The same tokens without the costs, for clients that may not read the hosts' prices.
  public var withoutCosts: HostCosts {
    var costs = self
    costs.byTask = [:]
    for index in costs.shares.indices { costs.shares[index].cost = nil }
    return costs
  }

  static func sum(_ shares: [HostShare]) -> CreditAmount? {
    guard let first = shares.first else { return nil }
    return shares.dropFirst().reduce(first.cost) { sum, share in
      guard let sum, let cost = share.cost else { return nil }
      return sum.addingCapped(cost)
    }
  }

  // MARK: - Collecting

  private mutating func add(_ attempts: [SettledAttempt], _ table: HostTable) {
    for attempt in attempts where attempt.role == .winner || attempt.usage.completion > 0 {
      let (prompt, completion) = (
        Int(clamping: attempt.usage.prompt), Int(clamping: attempt.usage.completion)
      )
      merge(
        HostShare(
          host: attempt.host, model: attempt.model, promptTokens: prompt,
          completionTokens: completion,
          cost: table.cost(of: attempt.host, prompt: prompt, completion: completion)))
    }
  }

  private mutating func merge(_ share: HostShare) {
    guard
      let index = shares.firstIndex(where: { $0.host == share.host && $0.model == share.model })
    else { return shares.append(share) }
    var sum = shares[index]
    sum.promptTokens = sum.promptTokens.addingCapped(share.promptTokens)
    sum.completionTokens = sum.completionTokens.addingCapped(share.completionTokens)
    sum.cost = Self.sum([sum, share])
    shares[index] = sum
  }

  private mutating func sort() {
    shares.sort {
      ($1.totalTokens, $0.host, $0.model) < ($0.totalTokens, $1.host, $1.model)
    }
  }
}

extension HostTable {
  /// Cost at the host's own price. `nil` means that the price is unknown.
  fileprivate func cost(of id: HostID, prompt: Int, completion: Int) -> CreditAmount? {
    guard let host = host(id) else { return nil }
    if let price = host.price {
      return CreditAmount(millionths: price.cost(prompt: prompt, completion: completion))
    }
    return host.isFree ? .zero : nil
  }
}
