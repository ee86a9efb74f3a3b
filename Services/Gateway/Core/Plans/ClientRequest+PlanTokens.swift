public import ClusterModel
import Limits
import Text

extension ClientRequest {
  /// Estimated tokens of a plan, for the limits of the client's key.
  ///
  /// Each task reads the conversation, its instruction, its inputs and its documents, and writes at
  /// most a long chat answer. Further attempts of a task are not counted.
  ///
  /// - Parameter budget: maximum tokens of the plan. `nil` means no limit.
  public func expectedTokens(of plan: Plan, within budget: Int?) -> Int {
    let sum = expectedUsages(of: plan).reduce(0) { $0.addingCapped($1.totalTokens) }
    return min(sum, budget ?? .max)
  }

  /// Estimated tokens of one call without a plan.
  var expectedDirectUsage: Usage {
    Usage(
      promptTokens: conversationTokens.addingCapped(TokenEstimate.templateTokens),
      completionTokens: min(maxTokens ?? .max, Self.assumedAnswerTokens), estimated: true)
  }

  /// Estimated tokens of each task, in the plan's order. Mechanical tasks have none.
  func expectedUsages(of plan: Plan) -> [Usage] {
    func written(_ task: PlanTask) -> Int {
      task.merge.isMechanical ? 0 : min(task.maxTokens ?? .max, Self.assumedAnswerTokens)
    }
    var outputs: [TaskID: Int] = [:]
    for task in plan.tasks { outputs[task.id] = written(task) }
    return plan.tasks.map { task in
      guard !task.merge.isMechanical else { return .zero }
      let inputs = task.inputs.reduce(0) { $0.addingCapped(outputs[$1.from] ?? 0) }
      let prompt = (task.readsConversation ? conversationTokens : 0)
        .addingCapped(TokenEstimate.callTokens + TokenEstimate.tokens(of: task.instruction))
        .addingCapped(inputs)
        .addingCapped(documentTokens(of: task))
      return Usage(promptTokens: prompt, completionTokens: written(task), estimated: true)
    }
  }

  /// Estimated tokens of the documents that a task reads, up to the room in its prompt.
  private func documentTokens(of task: PlanTask) -> Int {
    let readsAll = task.documents.contains(PlanTask.everyDocument)
    let bytes = options.documents.reduce(0) {
      readsAll || task.documents.contains($1.name) ? $0.addingCapped($1.text.utf8.count) : $0
    }
    let part = bytes / max(1, task.documentPart?.count ?? 1)
    return min(TokenEstimate.tokens(bytes: part), Limits.documentTokens.value)
  }
}
