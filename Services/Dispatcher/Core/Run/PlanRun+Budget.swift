import ClusterModel
import Text

extension PlanRun {
  enum Grant {
    /// Maximum completion tokens, and the maximum tokens per input that leave room for them. A
    /// `nil` input limit leaves the inputs unchanged.
    case tokens(Int, inputTokens: Int?)
    case refused(Failure)
  }

  /// Cost factors of a task.
  /// They count how often its prompt is read, and how often its output is written or read again.
  private struct Weight {
    var reading = 1
    var writing = 1

    static let once = Weight()
    /// Output for a program is requested once more if it breaks its contract. The second prompt
    /// includes the first answer.
    static let corrected = Weight(reading: 2, writing: 3)
  }

  private func weight(of index: Int) -> Weight {
    hasContract(index) ? .corrected : .once
  }

  /// The answer itself is excluded: the client chose its form.
  private func hasContract(_ index: Int) -> Bool {
    task(index).contract != .text && !isStreaming(index)
  }

  /// Tokens of all prompts of a task without its inputs, as hosts will count them.
  private func calls(for index: Int) -> Int {
    let weight = weight(of: index)
    // The correction repeats the contract and describes the error.
    let correction = contractTokens(of: index) + 32
    return ledger.counted(
      weight.reading * estimatedPrompt(of: index) + (weight.reading - 1) * correction)
  }

  /// Grants the tokens that a task may write within the plan's budget.
  /// Enough tokens stay reserved for the sink to answer from the conversation. If the budget does
  /// not cover the wishes of all tasks, those that have not started share it evenly. A grant counts
  /// as spent until the task ends.
  mutating func grant(to index: Int, inputs: [TaskOrder.NamedInput]) -> Grant {
    guard let left = ledger.left(for: index), let budget = ledger.budget else {
      return .tokens(task(index).maxTokens ?? .max, inputTokens: nil)
    }
    let weight = weight(of: index)
    let prompt = calls(for: index)
    let texts = inputs.reduce(0) { $0 + TokenEstimate.tokens(of: $1.text) }
    let reading = weight.reading * ledger.counted(texts)
    let kept = index == graph.sink ? 0 : calls(for: graph.sink) + limits.leastTokens
    let room = left - kept - prompt
    guard room >= (index == graph.sink ? 1 : limits.leastTokens) * weight.writing else {
      return .refused(refusal(of: index, budget: budget, left: left))
    }
    // Inputs that leave no room to write are shortened, to at least one token each unless the task
    // is the sink.
    var inputTokens: Int?
    var read = reading
    let least = limits.leastTokens * weight.writing
    if room - reading < least {
      let each = ledger.estimated(room - min(least, room)) / (weight.reading * max(inputs.count, 1))
      guard each >= 1 || index == graph.sink else {
        return .refused(refusal(of: index, budget: budget, left: left))
      }
      inputTokens = each
      read = min(reading, weight.reading * ledger.counted(each * inputs.count))
    }
    var write = max((room - read) / weight.writing, 1)
    if let wanted = task(index).maxTokens { write = min(write, wanted) }
    if index != graph.sink { write = min(write, max(limits.leastTokens, evenShare(of: index))) }
    ledger.reserve(prompt + read + weight.writing * write, for: index)
    tasks[index].estimatedPrompt =
      estimatedPrompt(of: index) + min(texts, (inputTokens ?? texts) * inputs.count)
    return .tokens(write, inputTokens: inputTokens)
  }

  /// Tokens that this task may write if all waiting tasks share the rest evenly.
  /// `Int.max` means that the rest covers all of them.
  private func evenShare(of index: Int) -> Int {
    let open = tasks.indices.filter { other in
      guard other != index, !task(other).merge.isMechanical else { return other == index }
      switch tasks[other].phase {
      case .waiting: return true
      case .running, .pausing, .expanding, .done, .skipped: return false
      }
    }
    var prompts = 0
    var wanted = 0
    for other in open {
      let weight = weight(of: other)
      prompts += calls(for: other)
      wanted += weight.writing * (task(other).maxTokens ?? limits.expectedTokens)
    }
    let left = (ledger.left(for: index) ?? 0) - prompts
    return wanted <= left ? .max : left / open.count / weight(of: index).writing
  }

  /// Estimated prompt tokens of a task before its inputs are known.
  private func estimatedPrompt(of index: Int) -> Int {
    let task = task(index)
    let conversation =
      task.readsConversation
      ? TokenEstimate.tokens(bytes: order.conversation.messagesJSON.count) : 0
    return limits.callTokens + conversation + TokenEstimate.tokens(of: task.instruction)
      + contractTokens(of: index) + materialTokens(of: task) + fenceTokens(of: task)
  }

  /// Tokens of the fences around inputs and documents.
  private func fenceTokens(of task: PlanTask) -> Int {
    let texts = task.inputs.count + (task.documents.isEmpty ? 0 : 1)
    if texts > 0 { return limits.fenceTokens + limits.fencedTextTokens * texts }
    return Fence(seed: task.seed).isUsed(in: task.instruction) ? limits.fenceTokens : 0
  }

  /// Tokens that describe the output format to the model. JSON has about three bytes per token.
  private func contractTokens(of index: Int) -> Int {
    guard hasContract(index) else { return 0 }
    return switch task(index).contract {
    case .json(let schema): schema.utf8.count / 3
    case .choice(let words): words.reduce(0) { $0 + TokenEstimate.tokens(of: $1) + 1 }
    case .text, .vector: 0
    }
  }

  private func materialTokens(of task: PlanTask) -> Int {
    guard !task.documents.isEmpty else { return 0 }
    let readsAll = task.documents.contains(PlanTask.everyDocument)
    let bytes = order.documents.reduce(0) { sum, document in
      readsAll || task.documents.contains(document.name)
        ? sum + document.text.utf8.count + document.name.utf8.count : sum
    }
    return min(bytes / TokenEstimate.bytesPerToken, limits.materialTokens)
  }

  /// Charges the budget for a task that has ended.
  /// - Returns: the report with the cost of all the task's attempts.
  mutating func spend(_ report: TaskReport, on index: Int) -> TaskReport {
    ledger.spend(report.usage)
    ledger.release(index)
    var whole = report
    whole.usage = report.usage + tasks[index].givenUp
    tasks[index].report = whole
    // The number of requests of a task with a contract is unknown, and so is the part of a document
    // that was read.
    guard task(index).contract == .text, task(index).documents.isEmpty,
      let estimate = tasks[index].estimatedPrompt
    else { return whole }
    ledger.learn(counted: report.usage.promptTokens, estimated: estimate)
    return whole
  }

  /// Charges the budget for an attempt that ended without a usage report.
  /// Before the first token of a host, nothing is charged.
  mutating func spendUnreported(_ index: Int) {
    guard case .running(_, let host?) = tasks[index].phase, tasks[index].report == nil else {
      return ledger.release(index)
    }
    let inputs = task(index).inputs.reduce(0) { sum, edge in
      sum + (output(of: edge).map { TokenEstimate.tokens(of: $0) } ?? 0)
    }
    let prompt = tasks[index].estimatedPrompt ?? estimatedPrompt(of: index) + inputs
    let usage = Usage(
      promptTokens: ledger.counted(prompt),
      completionTokens: ledger.counted(TokenEstimate.tokens(bytes: tasks[index].writtenBytes)),
      estimated: true)
    var report = TaskReport.mechanical("")
    report.host = host
    tasks[index].givenUp = tasks[index].givenUp + usage
    report.usage = tasks[index].givenUp
    tasks[index].report = report
    ledger.giveUp(index, known: usage)
  }

  /// Cost of a task that failed or has a substitute, as a report without output.
  /// The report names the host of the latest attempt. `nil` means no cost.
  func cost(of index: Int) -> TaskReport? {
    let state = tasks[index]
    guard state.report != nil || state.givenUp != .zero else { return nil }
    var cost = state.report ?? .mechanical("")
    cost.output = ""
    cost.usage = state.report?.usage ?? state.givenUp
    return cost
  }

  /// Failure of a task that the budget cannot pay.
  /// Plans are made to fit their budget. If no tokens are used yet, the request is too large;
  /// otherwise, hosts have used more than they were granted, or the plan has grown.
  private func refusal(of index: Int, budget: Int, left: Int) -> Failure {
    let used = ledger.spent.totalTokens
    let nothing =
      index == graph.sink ? "nothing is left for the answer" : "the rest cannot pay for it"
    let overruns = self.overruns.prefix(3).joined(separator: ", ")
    let cause = overruns.isEmpty ? "" : " (\(overruns))"
    return Failure(
      used == 0 ? .invalidRequest : .budgetExhausted,
      "\(used) of the budget of \(budget) tokens are used\(cause) and \(max(0, left)) are free: "
        + "\(nothing); ask with a larger tutti.budget or a shorter request",
      param: "tutti.budget.tokens")
  }

  /// Tasks whose host wrote more than the budget granted.
  private var overruns: [String] {
    tasks.indices.compactMap { index in
      guard let granted = tasks[index].grantedTokens, case .done(let report) = tasks[index].phase,
        // A task that is asked twice may write its grant twice.
        report.usage.completionTokens > weight(of: index).reading * granted
      else { return nil }
      return "\(task(index).id) wrote \(report.usage.completionTokens) tokens, "
        + "but \(granted) were allowed"
    }
  }
}
