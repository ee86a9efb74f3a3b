import ClusterModel
import Limits
import Text

extension PlanRun {
  /// Starts the task's next attempt.
  /// Abandons the task if the budget or the plan's prompt limit does not allow it.
  mutating func launch(_ index: Int, now: Instant) {
    var task = board.task(index)
    var inputs = board.namedInputs(of: index, toTokens: limits.inputTokens)
    if budget.isLimited {
      switch grant(to: index, inputs: inputs) {
      case .refused(let failure): return abandon(index, failure, now: now)
      case .tokens(let tokens, let inputTokens):
        task.maxTokens = tokens
        if let inputTokens { inputs = board.namedInputs(of: index, toTokens: inputTokens) }
      }
    }
    let order = taskOrder(task, index, inputs: inputs)
    promptBytes = promptBytes.addingCapped(order.promptBytes)
    guard promptBytes <= Limits.planPromptBytes.value else {
      return abandon(
        index,
        Failure(
          .requestTooLarge,
          "the plan's tasks would read \(Overdrawn(Limits.planPromptBytes)); send a shorter "
            + "conversation or fewer documents"), now: now)
    }
    budget.beginAttempt(of: index)
    attempts[index, default: TaskAttempts()].launch()
    board.start(index)
    let state = attempts[index] ?? TaskAttempts()
    directives.append(
      .start(
        TaskStart(
          attempt: Attempt(task.id, state.number), role: task.role, order: order,
          avoiding: state.avoiding,
          remaining: now.duration(to: board.window(index)?.end ?? planDeadline))))
  }

  private mutating func taskOrder(
    _ task: PlanTask, _ index: Int, inputs: [TaskOrder.NamedInput]
  ) -> TaskOrder {
    let isStreaming = board.isStreaming(index)
    let readsAll = task.documents.contains(PlanTask.everyDocument)
    let names = Set(task.documents)
    return TaskOrder(
      plan: plan.id, task: task, conversation: order.conversation, inputs: inputs,
      isSink: isStreaming, dataPolicy: max(order.dataPolicy, task.dataPolicy ?? order.dataPolicy),
      pools: order.pools, models: order.models, avoidHosts: hostsInUse, terms: terms(of: index),
      documents: order.documents.filter { readsAll || names.contains($0.name) }.map {
        task.documentPart.map($0.part) ?? $0
      },
      prefix: isStreaming ? answer.resume() : "", sparesTokens: budget.isLimited,
      isPart: board.isPartOfAnswer(index), client: order.client)
  }

  /// Terms of a task's inference. By default, every task except the sink uses a hedge: a second
  /// host is asked only if the first one is late. A race from the start would take capacity from
  /// parallel tasks. The sink runs alone, so it races like any other request.
  private func terms(of index: Int) -> InferenceTerms {
    var terms = order.terms
    if terms.race == nil, !board.isStreaming(index) { terms.race = .hedged }
    return terms
  }

  private var hostsInUse: [HostID] {
    var hosts: Set<HostID> = []
    for index in board.indices {
      if case .running(_, let host?) = board.phase(index) { hosts.insert(host) }
    }
    return hosts.sorted()
  }

  // MARK: - Budget

  private mutating func grant(
    to index: Int, inputs: [TaskOrder.NamedInput]
  ) -> PlanBudget.Grant {
    let waiting = board.indices.filter { other in
      guard other != index, case .waiting = board.phase(other) else { return false }
      return !board.task(other).merge.isMechanical
    }
    return budget.grant(
      to: index, demand(of: index), inputs: inputs.map { TokenEstimate.tokens(of: $0.text) },
      reservingFor: index == board.sink ? nil : demand(of: board.sink),
      waiting: waiting.map { demand(of: $0) })
  }

  func demand(of index: Int) -> TaskDemand {
    TaskDemand(
      board.task(index), isAnswer: board.isStreaming(index), order: order, limits: limits)
  }

  /// Estimated tokens of the task's inputs.
  func inputTokens(of index: Int) -> Int {
    board.task(index).inputs.reduce(0) { sum, edge in
      sum + (board.output(of: edge).map { TokenEstimate.tokens(of: $0) } ?? 0)
    }
  }
}

extension Document {
  /// Returns a part of the document, named after it.
  fileprivate func part(_ part: DocumentPart) -> Document {
    Document(
      name: "\(name) (part \(part.number) of \(part.count))",
      text: DocumentCut.part(part.number, of: part.count, in: text))
  }
}

extension TaskOrder {
  /// Maximum bytes of the order's texts in the agent's prompt.
  fileprivate var promptBytes: Int {
    let texts = inputs.reduce(0) { $0 + $1.text.utf8.count }
    let documents = documents.reduce(0) { $0 + $1.text.utf8.count }
    return (task.readsConversation ? conversation.messagesJSON.count : 0)
      + task.instruction.utf8.count + texts + documents
  }
}
