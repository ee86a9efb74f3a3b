import ClusterModel
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
    tasks[index].report = nil
    tasks[index].writtenBytes = 0
    tasks[index].phase = .running(agent: nil, host: nil)
    tasks[index].prefixBytes = isStreaming(index) ? tasks[index].text.utf8.count : 0
    directives.append(
      .start(
        TaskStart(
          attempt: Attempt(task.id, tasks[index].attempt), role: task.role,
          order: taskOrder(index, inputs: inputs), avoiding: tasks[index].avoiding,
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
    let readers = graph.readers[index]
    return !readers.isEmpty
      && readers.allSatisfy { reader in
        [.concatenate, .replace, .vote].contains(task(reader).merge)
          && task(reader).expansion == nil && (reader == graph.sink || isPart(reader))
      }
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
      output(of: edge).map {
        TaskOrder.NamedInput(
          name: edge.name, text: Compression.compressed($0, toTokens: limit))
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
