import ClusterModel
import Limits
import Text

extension PlanRun {
  /// Starts the task's current attempt.
  /// Abandons the task if the budget or the plan's prompt limit does not allow it.
  mutating func launch(_ index: Int, now: Instant) {
    let task = task(index)
    var inputs = namedInputs(of: task, toTokens: limits.inputTokens)
    if ledger.budget != nil {
      switch grant(to: index, inputs: inputs) {
      case .refused(let failure): return abandon(index, failure, now: now)
      case .tokens(let tokens, let inputTokens):
        tasks[index].grantedTokens = tokens
        if let inputTokens { inputs = namedInputs(of: task, toTokens: inputTokens) }
      }
    }
    let order = taskOrder(index, inputs: inputs)
    promptBytes = promptBytes.addingCapped(order.promptBytes)
    guard promptBytes <= Limits.planPromptBytes.value else {
      return abandon(
        index,
        Failure(
          .requestTooLarge,
          "the plan's tasks would read \(Overdrawn(Limits.planPromptBytes)); send a shorter "
            + "conversation or fewer documents"), now: now)
    }
    tasks[index].report = nil
    tasks[index].writtenBytes = 0
    tasks[index].phase = .running(agent: nil, host: nil)
    tasks[index].prefixBytes = isStreaming(index) ? tasks[index].text.utf8.count : 0
    directives.append(
      .start(
        TaskStart(
          attempt: Attempt(task.id, tasks[index].attempt), role: task.role,
          order: order, avoiding: tasks[index].avoiding,
          remaining: now.duration(to: tasks[index].deadline ?? planDeadline))))
  }

  private func taskOrder(_ index: Int, inputs: [TaskOrder.NamedInput]) -> TaskOrder {
    var task = task(index)
    task.maxTokens = tasks[index].grantedTokens ?? task.maxTokens
    let isStreaming = isStreaming(index)
    let readsAll = task.documents.contains(PlanTask.everyDocument)
    let names = Set(task.documents)
    return TaskOrder(
      plan: plan.id, task: task, conversation: order.conversation, inputs: inputs,
      isSink: isStreaming, dataPolicy: max(order.dataPolicy, task.dataPolicy ?? order.dataPolicy),
      avoidHosts: hostsInUse, terms: terms(of: index),
      documents: order.documents.filter { readsAll || names.contains($0.name) },
      prefix: isStreaming ? tasks[index].text : "", sparesTokens: ledger.budget != nil,
      isPart: isPart(index), client: order.client)
  }

  /// Terms of a task's inference. All tasks but the sink hedge by default.
  /// Parallel tasks must finish together. A task that races two hosts from its start would take
  /// capacity from the other tasks; a hedge asks a second host only if the first one is late. The
  /// sink runs alone and races like any other request.
  private func terms(of index: Int) -> InferenceTerms {
    var terms = order.terms
    if terms.race == nil, !isStreaming(index) { terms.race = .hedged }
    return terms
  }

  /// Whether the output reaches the sink without a model rewriting it.
  private func isPart(_ index: Int) -> Bool {
    var known: [Int: Bool] = [:]
    return isPart(index, &known)
  }

  /// - Parameter known: results so far, so that each task is examined once.
  private func isPart(_ index: Int, _ known: inout [Int: Bool]) -> Bool {
    if let isPart = known[index] { return isPart }
    let readers = graph.readers[index]
    let isPart =
      !readers.isEmpty
      && readers.allSatisfy { reader in
        [.concatenate, .replace, .vote].contains(task(reader).merge)
          && task(reader).expansion == nil && (reader == graph.sink || self.isPart(reader, &known))
      }
    known[index] = isPart
    return isPart
  }

  private var hostsInUse: [HostID] {
    var hosts: Set<HostID> = []
    for state in tasks {
      if case .running(_, let host?) = state.phase { hosts.insert(host) }
    }
    return hosts.sorted()
  }

  private func namedInputs(of task: PlanTask, toTokens limit: Int) -> [TaskOrder.NamedInput] {
    var inputs = task.inputs.compactMap { edge in
      readingOutput(of: edge, toTokens: limit).map {
        TaskOrder.NamedInput(name: edge.name, text: $0)
      }
    }
    // Two texts agree with each other equally, so weights carry no information.
    guard task.merge == .synthesise, inputs.count > 2 else { return inputs }
    for (index, weight) in Agreement.weights(of: inputs.map(\.text)).enumerated() {
      inputs[index].weightMilli = weight
    }
    return inputs
  }

  func expandInputs(of task: PlanTask) -> [TaskOrder.NamedInput] {
    namedInputs(of: task, toTokens: limits.inputTokens)
  }
}

extension TaskOrder {
  /// Maximum bytes of the prompt that an agent makes from the order.
  fileprivate var promptBytes: Int {
    let texts = inputs.reduce(0) { $0 + $1.text.utf8.count }
    let documents = documents.reduce(0) { $0 + $1.text.utf8.count }
    return (task.readsConversation ? conversation.messagesJSON.count : 0)
      + task.instruction.utf8.count + texts + documents
  }
}
