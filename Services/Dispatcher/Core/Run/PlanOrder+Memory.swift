public import ClusterModel

extension PlanOrder {
  /// Bytes of the client's request, and estimated bytes of the plan made from it.
  public var keptBytes: Int {
    let parameters = conversation.parameters.reduce(0) { $0 + $1.name.utf8.count + $1.json.count }
    let texts = documents.reduce(0) { $0 + $1.name.utf8.count + $1.text.utf8.count }
    let tasks = plan.tasks.reduce(0) { $0 + $1.instruction.utf8.count + 1_024 }
    return conversation.messagesJSON.count + parameters + texts + tasks
      + (request?.query.utf8.count ?? 0) + sinkPrefix.utf8.count
  }
}
