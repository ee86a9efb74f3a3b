import ClusterModel
import Text

extension PlanRun {
  enum Grant {
    /// What the task may write, and how long its inputs may be to leave room for that; nil: as they
    /// are.
    case tokens(Int, inputTokens: Int?)
    case refused(Failure)
  }

  /// What a plan's budget lets a task write. Whatever else is given out, enough stays for the sink to
  /// answer from the conversation; where the budget does not cover what all tasks want, the ones that
  /// have not started share it evenly. What is granted counts as spent until the task has ended.
  mutating func grant(to index: Int, inputs: [TaskOrder.NamedInput]) -> Grant {
    guard let left = ledger.left(for: index), let budget = ledger.budget else {
      return .tokens(task(index).maxTokens ?? .max, inputTokens: nil)
    }
    let prompt = promptTokens(of: task(index))
    let reading = inputs.reduce(0) { $0 + Compression.estimatedTokens($1.text) }
    let kept = index == graph.sink ? 0 : promptTokens(of: task(graph.sink)) + limits.leastTokens
    let room = left - kept - prompt
    guard room >= (index == graph.sink ? 1 : limits.leastTokens) else {
      return .refused(refusal(of: index, budget: budget, left: left))
    }
    // Inputs that leave no room to write are shortened, as long as something of each stays.
    var inputTokens: Int?
    var write = room - reading
    if write < limits.leastTokens {
      let each = (room - min(limits.leastTokens, room)) / max(inputs.count, 1)
      guard each >= 1 || index == graph.sink else {
        return .refused(refusal(of: index, budget: budget, left: left))
      }
      inputTokens = each
      write = max(room - each * inputs.count, 1)
    }
    if let wanted = task(index).maxTokens { write = min(write, wanted) }
    if index != graph.sink { write = min(write, max(limits.leastTokens, evenShare(of: index))) }
    ledger.reserve(
      prompt + min(reading, (inputTokens ?? reading) * inputs.count) + write, for: index)
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
    let prompts = open.reduce(0) { $0 + promptTokens(of: task($1)) }
    let wanted = open.reduce(0) { $0 + (task($1).maxTokens ?? limits.expectedTokens) }
    let left = (ledger.left(for: index) ?? 0) - prompts
    return wanted <= left ? .max : left / open.count
  }

  /// As far as it is known before its inputs are: the conversation and what it is told.
  private func promptTokens(of task: PlanTask) -> Int {
    let conversation = task.readsConversation ? (order.conversation.messagesJSON.count + 3) / 4 : 0
    return conversation + Compression.estimatedTokens(task.instruction)
  }

  private func refusal(of index: Int, budget: Int, left: Int) -> Failure {
    let used = ledger.spent.totalTokens
    let nothing =
      index == graph.sink ? "nothing is left for the answer" : "what is left cannot pay for it"
    return Failure(
      .invalidRequest,
      "of the budget of \(budget) tokens \(used) are used and \(max(0, left)) are free: \(nothing); "
        + "ask with a larger tutti.budget.tokens or a shorter request")
  }
}
