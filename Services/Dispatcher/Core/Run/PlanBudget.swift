import ClusterModel
import Limits
import Text

/// Token budget of a plan: grants tokens to tasks and records their cost.
///
/// It identifies a task only by index. It records costs even if the plan has no limit.
struct PlanBudget: Sendable {
  enum Grant: Equatable, Sendable {
    /// Maximum completion tokens, and the maximum tokens per input that leave room for the
    /// completion. A `nil` input limit leaves the inputs unchanged.
    case tokens(Int, inputTokens: Int?)
    case refused(Failure)
  }

  private struct Account: Sendable {
    /// Completion tokens of the latest grant. `nil` means no grant.
    var granted: Int?
    /// Maximum number of answers that the task requests. Each may be as long as the grant.
    var writings = 1
    /// Estimated prompt tokens of the latest grant.
    var estimatedPrompt: Int?
    /// Report of the latest attempt, without its output. `nil` until the attempt ends.
    var report: TaskReport?
    /// Usage of attempts that were given up.
    var givenUp = Usage.zero
    /// The inferences of those attempts, one per attempt.
    var givenUpInferences: [TaskInference] = []
  }

  private var ledger: TokenLedger
  private var accounts: [Int: Account] = [:]
  /// Tasks whose host wrote more than was granted, each with a description.
  private var overruns: [Int: String] = [:]
  /// Minimum completion tokens of a grant. The sink may get fewer, and so may a task with a lower
  /// limit of its own.
  private let leastTokens: Int
  /// Expected completion tokens of a task without a limit.
  private let expectedTokens: Int

  /// - Parameter tokens: the budget. `nil` means no limit.
  init(tokens: Int?, limits: PlanRunLimits = .standard) {
    ledger = TokenLedger(budget: tokens)
    leastTokens = limits.leastTokens
    expectedTokens = limits.expectedTokens
  }

  var isLimited: Bool { ledger.budget != nil }

  /// Usage of all attempts so far.
  var spent: Usage { ledger.spent }

  // MARK: - Grants

  /// Grants the tokens that a task may write within the budget.
  ///
  /// If the budget does not cover the demands of all tasks, the tasks that have not started share
  /// it evenly. A grant counts as spent until `release` or a charge ends it. The sink's grant
  /// leaves tokens for a second attempt if the budget allows it.
  /// - Parameters:
  ///   - inputs: tokens of each input of the task.
  ///   - answer: demand of the sink. Enough tokens stay reserved for an answer from the
  ///     conversation alone. `nil` means that the task is the sink.
  ///   - waiting: demands of all other tasks that have not started, the sink included.
  mutating func grant(
    to task: Int, _ demand: TaskDemand, inputs: [Int] = [], reservingFor answer: TaskDemand?,
    waiting: [TaskDemand] = []
  ) -> Grant {
    guard let left = ledger.left(for: task), let budget = ledger.budget else {
      return .tokens(demand.maxTokens ?? .max, inputTokens: nil)
    }
    let isSink = answer == nil
    let prompts = ledger.counted(demand.prompts)
    let texts = inputs.reduce(0, +)
    let reading = demand.readings * ledger.counted(texts)
    let reserved = answer.map { ledger.counted($0.prompts) + leastTokens } ?? 0
    let room = left - reserved - prompts
    guard room >= (isSink ? 1 : leastTokens) * demand.writings else {
      return .refused(refusal(isSink: isSink, budget: budget, left: left))
    }
    // If the inputs leave too little room to write, they are shortened. A task other than the sink
    // is refused if less than one token per input is left.
    var inputTokens: Int?
    var read = reading
    let least = leastTokens * demand.writings
    if room - reading < least {
      let each =
        ledger.estimated(room - min(least, room)) / (demand.readings * max(inputs.count, 1))
      guard each >= 1 || isSink else {
        return .refused(refusal(isSink: isSink, budget: budget, left: left))
      }
      inputTokens = each
      read = min(reading, demand.readings * ledger.counted(each * inputs.count))
    }
    let writable = isSink ? keepingRetry(in: room - read, prompts: prompts + read) : room - read
    var write = max(writable / demand.writings, 1)
    if let wanted = demand.maxTokens { write = min(write, wanted) }
    if !isSink { write = min(write, max(leastTokens, evenShare(left, demand, waiting))) }
    ledger.reserve(prompts + read + demand.writings * write, for: task)
    accounts[task, default: Account()].granted = write
    accounts[task, default: Account()].writings = demand.readings
    accounts[task, default: Account()].estimatedPrompt =
      demand.prompt + min(texts, (inputTokens ?? texts) * inputs.count)
    return .tokens(write, inputTokens: inputTokens)
  }

  /// Tokens that the sink may write. The rest pays for a second attempt if the first one is lost.
  ///
  /// The estimate assumes that a lost attempt uses its whole grant, and that the second attempt has
  /// the same prompts and an answer of the expected length. The reserve never makes the first
  /// answer shorter than the expected length.
  private func keepingRetry(in room: Int, prompts: Int) -> Int {
    max(min(room, expectedTokens), room - prompts - expectedTokens)
  }

  /// Tokens that a task may write if all waiting tasks get as much as this one.
  /// `Int.max` means that the remaining budget covers the demands of all of them.
  private func evenShare(_ left: Int, _ demand: TaskDemand, _ waiting: [TaskDemand]) -> Int {
    var prompts = 0
    var wanted = 0
    for open in waiting + [demand] {
      prompts += ledger.counted(open.prompts)
      wanted += open.writings * (open.maxTokens ?? expectedTokens)
    }
    let rest = left - prompts
    return wanted <= rest ? .max : rest / (waiting.count + 1) / demand.writings
  }

  /// Failure of a task that the budget cannot pay for.
  /// Plans are made to fit their budget. If no tokens are used yet, the request is too large.
  /// Otherwise hosts used more tokens than they were granted, or the plan has grown.
  private func refusal(isSink: Bool, budget: Int, left: Int) -> Failure {
    let used = ledger.spent.totalTokens
    let shortage = isSink ? "nothing is left for the answer" : "the rest cannot pay for it"
    let examples = overruns.sorted { $0.key < $1.key }.prefix(3).map(\.value)
    let cause = examples.isEmpty ? "" : " (\(examples.joined(separator: ", ")))"
    return Failure(
      used == 0 ? .invalidRequest : .budgetExhausted,
      "\(used) of the budget of \(budget) tokens are used\(cause) and \(max(0, left)) are free: "
        + "\(shortage); ask with a larger tutti.budget or a shorter request",
      param: "tutti.budget.tokens")
  }

  /// Ends a task's grant, so that its tokens are free for other tasks.
  mutating func release(_ task: Int) { ledger.release(task) }

  // MARK: - Cost

  /// Marks the start of an attempt, which has not reported its usage yet.
  mutating func beginAttempt(of task: Int) { accounts[task, default: Account()].report = nil }

  /// Charges a task that an earlier dispatcher finished.
  mutating func recordEarlier(_ report: TaskReport, of task: Int) {
    ledger.spend(report.usage)
    accounts[task, default: Account()].report = report.withoutOutput
  }

  /// Charges a task that an earlier dispatcher skipped.
  mutating func recordEarlier(_ usage: Usage) { ledger.spend(usage) }

  /// Charges an attempt that has ended, and ends the task's grant.
  /// - Parameter hasKnownPrompt: whether `report` counts exactly one prompt, whose whole text was
  ///   estimated. Only such a report shows how hosts count tokens.
  /// - Parameter resumes: whether the attempt resumed the text of earlier attempts. Its report
  ///   counts that text, which is already charged.
  /// - Returns: the report with the cost of all the task's attempts.
  mutating func charge(
    _ report: TaskReport, to task: Int, hasKnownPrompt: Bool, resumes: Bool = false
  ) -> TaskReport {
    var account = accounts[task] ?? Account()
    var usage = report.usage
    if resumes {
      usage.completionTokens = max(
        0, usage.completionTokens.subtractingCapped(account.givenUp.completionTokens))
    }
    ledger.spend(usage)
    ledger.release(task)
    if hasKnownPrompt, let estimate = account.estimatedPrompt {
      ledger.learn(counted: report.usage.promptTokens, estimated: estimate)
    }
    var whole = report
    whole.usage = usage + account.givenUp
    // The text that the attempt resumed counts in the earlier inferences, so they come first.
    whole.inferences = Array(
      (account.givenUpInferences + report.inferences).prefix(Limits.taskInferences.value))
    account.report = whole.withoutOutput
    accounts[task] = account
    return whole
  }

  /// Charges an attempt that ended without a usage report while `host` worked on it.
  /// - Parameters:
  ///   - model: the model that the host answers with.
  ///   - prompt: estimated tokens of the prompt, used if the latest grant has no estimate.
  mutating func chargeUnreported(
    _ task: Int, host: HostID, model: ModelID, prompt: Int, writtenBytes: Int
  ) {
    var account = accounts[task] ?? Account()
    guard account.report == nil else { return ledger.release(task) }
    let usage = Usage(
      promptTokens: ledger.counted(account.estimatedPrompt ?? prompt),
      completionTokens: ledger.counted(TokenEstimate.tokens(bytes: writtenBytes)), estimated: true)
    account.givenUp = account.givenUp + usage
    // As in a direct answer whose client left, the last host counts as the host that delivered.
    account.givenUpInferences.append(
      TaskInference(
        model: model, usage: usage,
        attempts: [
          PaidAttempt(
            host: host, model: model, tokens: usage.completionTokens, outcome: .delivered)
        ]))
    var report = TaskReport.mechanical("")
    report.host = host
    report.usage = account.givenUp
    report.inferences = account.givenUpInferences
    account.report = report
    accounts[task] = account
    ledger.giveUp(task, known: usage)
  }

  /// Records an overrun if a task wrote more than it was granted.
  /// The caller passes only tasks that ended with an output.
  mutating func recordEnd(of task: Int, named id: TaskID, _ usage: Usage) {
    guard let account = accounts[task], let granted = account.granted,
      // A task that requests a second answer may use its grant for each answer.
      usage.completionTokens > account.writings * granted
    else { return }
    overruns[task] = "\(id) wrote \(usage.completionTokens) tokens, but \(granted) were allowed"
  }

  /// Cost of a task that failed or has a substitute, as a report without output.
  /// The report names the host of the latest attempt if it had one. `nil` means no cost.
  func cost(of task: Int) -> TaskReport? {
    guard let account = accounts[task] else { return nil }
    if let report = account.report { return report }
    guard account.givenUp != .zero else { return nil }
    var cost = TaskReport.mechanical("")
    cost.usage = account.givenUp
    cost.inferences = account.givenUpInferences
    return cost
  }
}

extension TaskReport {
  /// Report of a task that was computed without a host.
  static func mechanical(_ text: String) -> TaskReport {
    TaskReport(
      host: "", model: "", usage: .zero, firstTokenMilliseconds: 0, totalMilliseconds: 0,
      finishReason: "stop", output: text)
  }

  fileprivate var withoutOutput: TaskReport {
    var report = self
    report.output = ""
    return report
  }
}
