public import ClusterModel
import Limits
import Text

/// Memory use of a plan.
extension PlanRun {
  /// Actual bytes of the plan's order and of all task outputs.
  public var keptBytes: Int { order.keptBytes.addingCapped(outputBytes) }

  /// Bytes of all task outputs, in each form that is kept.
  var outputBytes: Int {
    tasks.reduce(0) { sum, state in
      sum + TaskState.ownBytes + state.text.utf8.count + (state.report?.output.utf8.count ?? 0)
        + (state.reading?.utf8.count ?? 0) + (state.prepared?.utf8.count ?? 0)
    }
  }

  /// Bytes that the next output may have.
  var outputRoom: Int { max(0, Limits.planOutputBytes.value - outputBytes) }

  /// Converts the outputs of finished tasks to the forms that their readers need.
  /// Each form is made once, because many readers request it with every event.
  mutating func prepareOutputs() {
    for index in tasks.indices { prepareOutput(of: index) }
  }

  mutating func prepareOutput(of index: Int) {
    guard case .done(let report) = tasks[index].phase else { return }
    for reader in graph.readers[index] {
      if task(reader).merge.isMechanical {
        if tasks[index].prepared == nil {
          tasks[index].prepared = MechanicalMerge.prepared(
            report.output, toTokens: limits.inputTokens)
        }
      }
      if !task(reader).merge.isMechanical || task(reader).expansion != nil {
        if tasks[index].reading == nil {
          tasks[index].reading = MechanicalMerge.reading(
            report.output, toTokens: limits.inputTokens)
        }
      }
    }
  }

  /// An output as a mechanical task reads it. `nil` means that the task has not succeeded.
  func preparedOutput(of edge: Edge) -> String? {
    output(of: edge).map { text in
      graph.indices[edge.from].flatMap { tasks[$0].prepared }
        ?? MechanicalMerge.prepared(text, toTokens: limits.inputTokens)
    }
  }

  /// An output as a task with a model reads it. `nil` means that the task has not succeeded.
  func readingOutput(of edge: Edge, toTokens limit: Int) -> String? {
    output(of: edge).map { text in
      let whole = graph.indices[edge.from].flatMap { tasks[$0].reading }
      guard limit < limits.inputTokens else {
        return whole ?? MechanicalMerge.reading(text, toTokens: limit)
      }
      return Compression.compressed(whole ?? MechanicalMerge.bounded(text), toTokens: limit)
    }
  }
}

extension PlanRun.TaskState {
  /// Bytes of the entry itself, its directives and its timers.
  fileprivate static let ownBytes = 1_024
}

extension PlanOrder {
  /// Actual bytes of the client's request, and of the plan made from it.
  public var keptBytes: Int {
    let parameters = conversation.parameters.reduce(0) { $0 + $1.name.utf8.count + $1.json.count }
    let texts = documents.reduce(0) { $0 + $1.name.utf8.count + $1.text.utf8.count }
    let tasks = plan.tasks.reduce(0) { $0 + $1.instruction.utf8.count + 1_024 }
    return conversation.messagesJSON.count + parameters + texts + tasks
      + (request?.query.utf8.count ?? 0) + sinkPrefix.utf8.count
  }
}
