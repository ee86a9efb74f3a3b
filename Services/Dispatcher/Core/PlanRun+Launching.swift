import ClusterModel
import Limits
import Text

extension PlanRun {
  /// Starts the task's current attempt, or abandons the task if the budget cannot pay for it.
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

  /// Tasks that work beside each other are there to be done soon all together. Asked of two hosts at once,
  /// each would take from the others what it gains; a second host is only asked where the first is late. The
  /// answer itself is alone, and races as any other.
  private func terms(of index: Int) -> InferenceTerms {
    var terms = order.terms
    if terms.race == nil, !isStreaming(index) { terms.race = .hedged }
    return terms
  }

  /// Whether its output reaches the sink through nobody who writes anew.
  private func isPart(_ index: Int) -> Bool {
    var known: [Int: Bool] = [:]
    return isPart(index, &known)
  }

  /// - Parameter known: what was found out, so that no task is looked at for every way to it.
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
    // Of two texts each agrees with the other as much, so weights say nothing.
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
  /// Bytes of the prompt that an agent makes of it, at most.
  fileprivate var promptBytes: Int {
    let texts = inputs.reduce(0) { $0 + $1.text.utf8.count }
    let documents = documents.reduce(0) { $0 + $1.text.utf8.count }
    return (task.readsConversation ? conversation.messagesJSON.count : 0)
      + task.instruction.utf8.count + texts + documents
  }
}
