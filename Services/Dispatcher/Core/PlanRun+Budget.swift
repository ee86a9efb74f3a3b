import ClusterModel
import Text

extension PlanRun {
  enum Grant {
    /// What the task may write, and how long its inputs may be to leave room for that; nil: as they
    /// are.
    case tokens(Int, inputTokens: Int?)
    case refused(Failure)
  }

  /// What a task costs: how often its prompt is read and what it writes is written or read again.
  private struct Weight {
    var reading = 1
    var writing = 1

    static let once = Weight()
    /// What a program reads is asked for once more where it does not fit its contract, with the first
    /// answer behind the prompt.
    static let corrected = Weight(reading: 2, writing: 3)
  }

  private func weight(of index: Int) -> Weight {
    hasContract(index) ? .corrected : .once
  }

  /// The answer itself has the form that the client asked for.
  private func hasContract(_ index: Int) -> Bool {
    task(index).contract != .text && !isStreaming(index)
  }

  /// All that is read for a task whatever its inputs are, as hosts will count it.
  private func calls(for index: Int) -> Int {
    let weight = weight(of: index)
    // What is wrong is said with the contract again.
    let correction = contractTokens(of: index) + 32
    return ledger.counted(
      weight.reading * estimatedPrompt(of: index) + (weight.reading - 1) * correction)
  }

  /// What a plan's budget lets a task write. Whatever else is given out, enough stays for the sink to
  /// answer from the conversation; where the budget does not cover what all tasks want, the ones that
  /// have not started share it evenly. What is granted counts as spent until the task has ended.
  mutating func grant(to index: Int, inputs: [TaskOrder.NamedInput]) -> Grant {
    guard let left = ledger.left(for: index), let budget = ledger.budget else {
      return .tokens(task(index).maxTokens ?? .max, inputTokens: nil)
    }
    let weight = weight(of: index)
    let prompt = calls(for: index)
    let texts = inputs.reduce(0) { $0 + Compression.estimatedTokens($1.text) }
    let reading = weight.reading * ledger.counted(texts)
    let kept = index == graph.sink ? 0 : calls(for: graph.sink) + limits.leastTokens
    let room = left - kept - prompt
    guard room >= (index == graph.sink ? 1 : limits.leastTokens) * weight.writing else {
      return .refused(refusal(of: index, budget: budget, left: left))
    }
    // Inputs that leave no room to write are shortened, as long as something of each stays.
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

  /// What each task that has not started may write so that all of them can.
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

  /// As far as it is known before its inputs are: the conversation, documents and what it is told.
  private func estimatedPrompt(of index: Int) -> Int {
    let task = task(index)
    let conversation = task.readsConversation ? (order.conversation.messagesJSON.count + 3) / 4 : 0
    return limits.callTokens + conversation + Compression.estimatedTokens(task.instruction)
      + contractTokens(of: index) + materialTokens(of: task) + fenceTokens(of: task)
  }

  /// Tokens around the texts of others.
  private func fenceTokens(of task: PlanTask) -> Int {
    let texts = task.inputs.count + (task.documents.isEmpty ? 0 : 1)
    if texts > 0 { return limits.fenceTokens + limits.fencedTextTokens * texts }
    return Fence(seed: task.seed).isUsed(in: task.instruction) ? limits.fenceTokens : 0
  }

  /// A model is told the form of what it writes. Of JSON some three bytes are a token.
  private func contractTokens(of index: Int) -> Int {
    guard hasContract(index) else { return 0 }
    return switch task(index).contract {
    case .json(let schema): schema.utf8.count / 3
    case .choice(let words): words.reduce(0) { $0 + Compression.estimatedTokens($1) + 1 }
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
    return min(bytes / 4, limits.materialTokens)
  }

  /// What the budget is told of a task that has ended.
  /// - Returns: the report with all that the task cost.
  mutating func spend(_ report: TaskReport, on index: Int) -> TaskReport {
    ledger.spend(report.usage)
    ledger.release(index)
    var whole = report
    whole.usage = report.usage + tasks[index].givenUp
    tasks[index].report = whole
    // Of the others it is not known how often they asked, or how much of a document they took.
    guard task(index).contract == .text, task(index).documents.isEmpty,
      let estimate = tasks[index].estimatedPrompt
    else { return whole }
    ledger.learn(counted: report.usage.promptTokens, estimated: estimate)
    return whole
  }

  /// What the budget is told of an attempt that ends without a word of its agent. Before the first
  /// token of a host there is nothing to tell.
  mutating func spendUnreported(_ index: Int) {
    guard case .running(_, let host?) = tasks[index].phase, tasks[index].report == nil else {
      return ledger.release(index)
    }
    let inputs = task(index).inputs.reduce(0) { sum, edge in
      sum + (output(of: edge).map { Compression.estimatedTokens($0) } ?? 0)
    }
    let prompt = tasks[index].estimatedPrompt ?? estimatedPrompt(of: index) + inputs
    let usage = Usage(
      promptTokens: ledger.counted(prompt),
      completionTokens: ledger.counted((tasks[index].writtenBytes + 3) / 4), estimated: true)
    var report = TaskReport.mechanical("")
    report.host = host
    tasks[index].givenUp = tasks[index].givenUp + usage
    report.usage = tasks[index].givenUp
    tasks[index].report = report
    ledger.giveUp(index, known: usage)
  }

  /// What was spent on a task that came to nothing, or for which something stands in: whoever worked on
  /// it, and without a text. nil: nothing was.
  func cost(of index: Int) -> TaskReport? {
    let state = tasks[index]
    guard state.report != nil || state.givenUp != .zero else { return nil }
    var cost = state.report ?? .mechanical("")
    cost.output = ""
    cost.usage = state.report?.usage ?? state.givenUp
    return cost
  }

  /// A plan is made to fit its budget. Where nothing is used yet, the request is what does not fit;
  /// later, hosts have used more than they were asked for, or the plan has grown.
  private func refusal(of index: Int, budget: Int, left: Int) -> Failure {
    let used = ledger.spent.totalTokens
    let nothing =
      index == graph.sink ? "nothing is left for the answer" : "what is left cannot pay for it"
    let overruns = self.overruns.prefix(3).joined(separator: ", ")
    let cause = overruns.isEmpty ? "" : " (\(overruns))"
    return Failure(
      used == 0 ? .invalidRequest : .budgetExhausted,
      "of the budget of \(budget) tokens \(used) are used\(cause) and \(max(0, left)) are free: "
        + "\(nothing); ask with a larger tutti.budget or a shorter request",
      param: "tutti.budget.tokens")
  }

  /// Tasks whose host wrote more than the budget let it.
  private var overruns: [String] {
    tasks.indices.compactMap { index in
      guard let granted = tasks[index].grantedTokens, case .done(let report) = tasks[index].phase,
        // Asked twice, a task may write as much twice.
        report.usage.completionTokens > weight(of: index).reading * granted
      else { return nil }
      return
        "\(task(index).id) wrote \(report.usage.completionTokens) where \(granted) were allowed"
    }
  }
}
