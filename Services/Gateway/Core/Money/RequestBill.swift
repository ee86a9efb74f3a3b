public import ClusterModel
public import InferenceCore
import Limits
public import Money

/// Tokens of a request that has ended, and the client's bill for them.
public struct RequestBill: Hashable, Sendable {
  /// The model that answered. For several answers, it is the model of the request.
  public let model: ModelID
  public let answers: [SettledAnswer]
  /// Sum of the charges for all answers. It is at most the hold.
  public let billed: MicroCredits

  init(
    model: ModelID, answers: [SettledAnswer], price: RequestPrice, hold: MicroCredits
  ) {
    self.model = model
    self.answers = answers
    let standard = price.price(of: model)
    let total = answers.reduce(Int128(0)) { sum, answer in
      let cost = try? (answer.price ?? standard).cost(of: answer.usage)
      return sum + Int128(cost?.count ?? .max)
    }
    billed = min(MicroCredits(Int64(clamping: total)), hold)
  }

  /// The bill of an answer that the client received as a whole.
  public init(_ summary: InferenceSummary, price: RequestPrice, hold: MicroCredits) {
    let usage = TokenUsage(summary.usage)
    self.init(
      model: summary.model,
      answers: [
        SettledAnswer(usage: usage, attempts: Self.attempts(summary.attempts, usage))
      ], price: price, hold: hold)
  }

  /// The bill of an answer that the client did not receive to its end.
  ///
  /// - Parameters:
  ///   - model: the model of the request. The bill names it if no host has answered.
  ///   - cached: tokens of the prompt that the host had in its cache. 0 if they are not known yet.
  public init(
    _ delivered: DeliveredAnswer, of model: ModelID, prompt: Int, cached: Int = 0,
    price: RequestPrice, hold: MicroCredits
  ) {
    let model = delivered.model ?? model
    guard delivered.tokens > 0 else {
      self.init(model: model, answers: [], price: price, hold: hold)
      return
    }
    let usage = TokenUsage(
      Usage(promptTokens: prompt, cachedTokens: cached, completionTokens: delivered.tokens))
    self.init(
      model: model,
      answers: [SettledAnswer(usage: usage, attempts: delivered.attempts(of: usage))],
      price: price, hold: hold)
  }

  /// The bill of a plan, which is the sum over its tasks.
  ///
  /// - Parameters:
  ///   - written: tokens of the answer that the client received. They are billed if the task that
  ///     writes the answer has reported no usage.
  ///   - table: hosts, for their own names of models that are aliases.
  ///   - credible: returns the tokens of a task that are billed and paid.
  public init(
    plan trace: PlanTrace, model: ModelID, written: Int, price: RequestPrice, hold: MicroCredits,
    table: HostTable = .empty, credible: (PlanTrace.TaskLine) -> Usage = \.usage
  ) {
    var answers: [SettledAnswer] = []
    for task in trace.tasks.prefix(Limits.billedAnswers.value) {
      var usage = TokenUsage(credible(task))
      if usage == .zero, task.id == trace.plan.sink {
        usage = TokenUsage(Usage(promptTokens: 0, completionTokens: written))
      }
      guard usage != .zero else { continue }
      let model = task.model ?? model
      let attempts = task.host.map {
        [
          SettledAttempt(
            host: $0, model: table.hostModel(of: model, at: $0), usage: usage,
            contributed: usage.completion, role: .winner)
        ]
      }
      answers.append(
        SettledAnswer(usage: usage, attempts: attempts ?? [], price: price.price(of: model)))
    }
    self.init(model: model, answers: answers, price: price, hold: hold)
  }

  /// Estimated completion tokens in the first bytes of a body.
  public func completion(inFirst bytes: Int, of count: Int) -> Int {
    let total = answers.reduce(Int128(0)) { $0 + Int128($1.usage.completion) }
    return Usage.bounded(Int(clamping: total * Int128(bytes) / Int128(max(1, count))))
  }

  /// Roles of the attempts, and the tokens that each attempt contributed to the answer.
  ///
  /// - Parameters:
  ///   - records: attempts in the order in which they ended. An attempt that resumes an answer ends
  ///     after the attempt that broke off.
  static func attempts(_ records: [AttemptRecord], _ usage: TokenUsage) -> [SettledAttempt] {
    let records = records.prefix(Limits.billedAttempts.value)
    let last = records.lastIndex(where: \.isInAnswer)
    var rest = usage.completion
    var hasBegun = false
    return records.enumerated().map { index, record in
      var contributed: Int64 = 0
      if record.isInAnswer {
        // If several hosts answered, their counts are estimates. The last host gets the rest.
        contributed = index == last ? rest : min(Int64(Usage.bounded(record.tokens)), rest)
        rest -= contributed
      }
      let role = record.billedRole(begins: !hasBegun)
      if record.isInAnswer || role == .winner { hasBegun = true }
      let made = max(Int64(Usage.bounded(record.tokens)), contributed)
      return SettledAttempt(
        host: record.host, model: record.hostModel, usage: role.usage(in: usage, made: made),
        contributed: contributed, role: role)
    }
  }
}

extension AttemptRecord {
  /// - Parameter begins: whether no earlier attempt is part of the answer.
  fileprivate func billedRole(begins: Bool) -> BilledAttempt.Role {
    switch outcome {
    case .beaten: .loser
    // The client left before the end, which is not the host's fault.
    case .failed(let failure) where failure.kind == .consumerLeft && tokens > 0: delivered(begins)
    case .failed: .failed
    case .answered: delivered(begins)
    }
  }

  private func delivered(_ begins: Bool) -> BilledAttempt.Role {
    if begins { return .winner }
    return tier == .fallback ? .fallback : .continued
  }
}

extension TokenUsage {
  /// Limits each count, so that no sum of them overflows.
  package init(_ usage: Usage) {
    func count(_ tokens: Int) -> Int64 { Int64(Usage.bounded(tokens)) }
    // This cannot fail. `Usage` has at most as many cached tokens as prompt tokens, and the same
    // limits for both keep that order.
    let counts = try? TokenUsage(
      prompt: count(usage.promptTokens), cached: count(usage.cachedTokens),
      completion: count(usage.completionTokens))
    self = counts ?? .zero
  }
}
