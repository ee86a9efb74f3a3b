public import ClusterModel
public import InferenceCore
import Limits
public import Money

/// Tokens of a request that has ended, and the client's bill for them.
public struct RequestBill: Hashable, Sendable {
  /// The model that answered. For a plan, or if no host answered, it is the model of the request.
  public let model: ModelID
  public let answers: [SettledAnswer]
  /// Sum of the charges for all answers. It is at most the hold.
  public let billed: MicroCredits

  /// - Parameter paidPrompt: prompt tokens for which hosts are paid even if the hold does not pay
  ///   them. `nil` means no limit.
  init(
    model: ModelID, answers: [SettledAnswer], price: RequestPrice, hold: MicroCredits,
    paidPrompt: Int? = nil
  ) {
    self.model = model
    let standard = price.price(of: model)
    let total = answers.cost(at: standard)
    billed = min(MicroCredits(Int64(clamping: total)), hold)
    guard let paidPrompt, total > Int128(hold.count) else {
      self.answers = answers
      return
    }
    self.answers = answers.limitingPrompts(
      toCost: Int128(hold.count), at: standard, butAtLeast: paidPrompt)
  }

  /// The bill of an answer that the client received as a whole.
  ///
  /// - Parameter paidPrompt: prompt tokens for which the host is paid even if the hold does not pay
  ///   them. `nil` means no limit.
  public init(
    _ summary: InferenceSummary, price: RequestPrice, hold: MicroCredits, paidPrompt: Int? = nil
  ) {
    let usage = TokenUsage(summary.usage)
    self.init(
      model: summary.model,
      answers: [
        SettledAnswer(
          usage: usage, attempts: Self.attempts(summary.attempts.map(\.paid), usage))
      ], price: price, hold: hold, paidPrompt: paidPrompt)
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

  /// The bill of a plan, which is the sum over the answers of its tasks.
  ///
  /// - Parameters:
  ///   - written: tokens of the answer that the client received. No more are billed for the task
  ///     that writes the answer. `nil` means that the client received the whole answer.
  ///   - paidPrompt: prompt tokens of all tasks for which hosts are paid even if the hold does not
  ///     pay them. `nil` means no limit.
  ///   - table: hosts, for their own names of models that are aliases.
  ///   - credible: returns the tokens of a task that are billed and paid.
  public init(
    plan trace: PlanTrace, model: ModelID, written: Int?, price: RequestPrice, hold: MicroCredits,
    paidPrompt: Int? = nil, table: HostTable = .empty,
    credible: (PlanTrace.TaskLine) -> Usage = \.usage
  ) {
    let answers = Self.answers(
      plan: trace, model: model, written: written, price: price, table: table, credible: credible)
    self.init(
      model: model, answers: answers.flatMap { $0.answers }, price: price, hold: hold,
      paidPrompt: paidPrompt)
  }

  /// The answers of each task of a plan, for the tasks that a bill has.
  ///
  /// The parameters are those of the bill's initialiser.
  static func answers(
    plan trace: PlanTrace, model: ModelID, written: Int?, price: RequestPrice, table: HostTable,
    credible: (PlanTrace.TaskLine) -> Usage
  ) -> [(task: TaskID, answers: [SettledAnswer])] {
    var answers: [(task: TaskID, answers: [SettledAnswer])] = []
    var count = 0
    let tasks = trace.tasks.prefix(Limits.billedAnswers.value)
    for (index, task) in tasks.enumerated() {
      var counted = credible(task)
      var inferences = trace.inferences(of: task)
      if let written, trace.isAnswer(task) {
        if task.hasOutput {
          counted.completionTokens = min(counted.completionTokens, written)
        } else {
          // The counts of a task without an end are estimates, so the last host gets the rest.
          counted.completionTokens = written
          if let last = inferences.indices.last {
            inferences[last].usage.completionTokens = written
          }
        }
      }
      let usage = TokenUsage(counted)
      // An inference writes at most the task's `maxTokens`. With a higher count, its host would get
      // the pay of the hosts of later inferences.
      let most = trace.plan.tasks.first { $0.id == task.id }?.maxTokens.map { max(0, $0) } ?? .max
      for place in inferences.indices {
        inferences[place].usage.completionTokens = min(
          inferences[place].usage.completionTokens, most)
      }
      // Each later task keeps room for one answer.
      let room = Limits.billedAnswers.value - count - (tasks.count - index - 1)
      let added = Self.answers(
        of: task, inferences, usage, model: task.model ?? model, price: price, table: table,
        atMost: room)
      count += added.count
      answers.append((task.id, added))
    }
    return answers
  }

  /// The answers of a task: one per inference, and one for the other tokens, which are paid to the
  /// task's host. Their tokens add up to `usage`.
  private static func answers(
    of task: PlanTrace.TaskLine, _ inferences: [TaskInference], _ usage: TokenUsage,
    model: ModelID, price: RequestPrice, table: HostTable, atMost room: Int
  ) -> [SettledAnswer] {
    var answers: [SettledAnswer] = []
    var rest = usage
    for inference in inferences.prefix(room - 1) {
      // An inference may count text that an earlier one delivered, or have counts that are not
      // credible.
      let usage = rest.remove(TokenUsage(inference.usage))
      guard usage != .zero else { continue }
      // A model that was not known at the admission has no price there. It costs as much as the
      // task's model.
      let model = price.has(inference.model) ? inference.model : model
      answers.append(
        SettledAnswer(
          usage: usage, attempts: attempts(inference.attempts, usage, table),
          price: price.price(of: model)))
    }
    guard rest != .zero else { return answers }
    let attempt = task.host.map {
      PaidAttempt(
        host: $0, model: model, tokens: Int(clamping: rest.completion), outcome: .delivered)
    }
    answers.append(
      SettledAnswer(
        usage: rest, attempts: attempts([attempt].compactMap(\.self), rest, table),
        price: price.price(of: model)))
    return answers
  }

  /// Estimated completion tokens in the first bytes of a body.
  public func completion(inFirst bytes: Int, of count: Int) -> Int {
    let total = answers.reduce(Int128(0)) { $0 + Int128($1.usage.completion) }
    return Usage.bounded(Int(clamping: total * Int128(bytes) / Int128(max(1, count))))
  }

  /// Roles of the attempts, and the tokens that each attempt contributed to the answer.
  ///
  /// - Parameters:
  ///   - attempts: the attempts in the order in which they ended. An attempt that resumes an answer
  ///     ends after the attempt that broke off.
  ///   - table: hosts, for their own names of models that are aliases.
  static func attempts(
    _ attempts: [PaidAttempt], _ usage: TokenUsage, _ table: HostTable = .empty
  ) -> [SettledAttempt] {
    let attempts = attempts.prefix(Limits.billedAttempts.value)
    let last = attempts.lastIndex(where: \.isInAnswer)
    var rest = usage.completion
    var hasBegun = false
    return attempts.enumerated().map { index, attempt in
      var contributed: Int64 = 0
      if attempt.isInAnswer {
        // If several hosts answered, their counts are estimates. The last host gets the rest.
        contributed = index == last ? rest : min(Int64(Usage.bounded(attempt.tokens)), rest)
        rest -= contributed
      }
      let role = attempt.role(begins: !hasBegun)
      if attempt.isInAnswer || role == .winner { hasBegun = true }
      let made = max(Int64(Usage.bounded(attempt.tokens)), contributed)
      return SettledAttempt(
        host: attempt.host, model: table.hostModel(of: attempt.model, at: attempt.host),
        usage: role.usage(in: usage, made: made), contributed: contributed, role: role)
    }
  }
}

extension PaidAttempt {
  /// - Parameter begins: whether no earlier attempt is part of the answer.
  fileprivate func role(begins: Bool) -> BilledAttempt.Role {
    switch outcome {
    case .beaten: .loser
    case .failed: .failed
    case .delivered where begins: .winner
    case .delivered: tier == .fallback ? .fallback : .continued
    }
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

  /// Removes tokens, at most as many of each kind as there are.
  /// - Returns: the removed tokens.
  fileprivate mutating func remove(_ wanted: TokenUsage) -> TokenUsage {
    let prompt = min(wanted.prompt, self.prompt)
    // The rest must not have more cached tokens than prompt tokens.
    let cached = max(
      min(wanted.cached, self.cached, prompt), self.cached - (self.prompt - prompt))
    let completion = min(wanted.completion, self.completion)
    guard
      let removed = try? TokenUsage(prompt: prompt, cached: cached, completion: completion),
      let rest = try? TokenUsage(
        prompt: self.prompt - prompt, cached: self.cached - cached,
        completion: self.completion - completion)
    else { return .zero }
    self = rest
    return removed
  }
}
