import ClusterModel
import Text

/// Inputs of tasks, and outputs that are computed from them.
extension TaskBoard {
  /// An output as a mechanical task reads it. `nil` means that the edge's source has not succeeded.
  func preparedOutput(of edge: Edge) -> String? { forms(of: edge)?.prepared }

  /// An output as a task with a model reads it. `nil` means that the edge's source has not
  /// succeeded.
  func readingOutput(of edge: Edge, toTokens limit: Int) -> String? {
    forms(of: edge)?.reading.map { text in
      limit < inputTokens ? Compression.compressed(text, toTokens: limit) : text
    }
  }

  /// Inputs of a task as its agent or the planner reads them, each of at most `limit` tokens.
  func namedInputs(of index: Int, toTokens limit: Int) -> [TaskOrder.NamedInput] {
    let task = task(index)
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

  // MARK: - Mechanical tasks

  /// First mechanical task that can be computed now, with its report.
  var firstComputable: (index: Int, report: TaskReport)? {
    for index in indices where task(index).merge.isMechanical {
      guard case .waiting = phase(index), let text = mechanicalText(of: index) else { continue }
      var report = TaskReport.mechanical(text)
      if task(index).merge == .concatenate, hasCutInput(index) { report.finishReason = "length" }
      return (index, report)
    }
    return nil
  }

  /// Whether a token limit cut off one of the task's inputs.
  private func hasCutInput(_ index: Int) -> Bool {
    task(index).inputs.contains { report(of: $0)?.finishReason == "length" }
  }

  /// Output of a mechanical task. `nil` means that a missing input could change it, or that too few
  /// inputs succeeded.
  /// - Parameter waiting: whether missing inputs may still arrive.
  func mechanicalText(of index: Int, waiting: Bool = true) -> String? {
    let task = task(index)
    let missing = waiting ? task.inputs.count { !isSettled($0) } : 0
    // Texts are read only if all inputs are settled or a vote may end early.
    guard missing == 0 || task.merge == .vote else { return nil }
    let inputs = mechanicalInputs(task.inputs)
    guard !inputs.isEmpty,
      MechanicalMerge.isDecided(task.merge, by: inputs, missing: missing),
      missing == 0 || inputs.count >= task.quorum ?? 1
    else { return nil }
    return MechanicalMerge.text(task.merge, of: inputs)
  }

  /// Beginning of the answer if the sink concatenates: its inputs up to the first missing one.
  /// `nil` means that nothing of the answer is certain.
  var beginningOfAnswer: String? {
    let task = task(sink)
    guard task.merge == .concatenate, isStreaming(sink), case .waiting = phase(sink) else {
      return nil
    }
    let leading = Array(task.inputs.prefix { isSettled($0) })
    // If an input was skipped, the sink may still fail, so nothing is certain.
    guard leading.allSatisfy({ output(of: $0) != nil }) else { return nil }
    return MechanicalMerge.concatenated(mechanicalInputs(leading))
  }

  private func mechanicalInputs(_ edges: [Edge]) -> [MechanicalMerge.Input] {
    edges.compactMap { edge in
      preparedOutput(of: edge).map { MechanicalMerge.Input(name: edge.name, text: $0) }
    }
  }

  /// Describes a merge by a model that repeats its instruction or its inputs.
  /// `nil` means that `output` is the model's own.
  func echo(in output: String, of index: Int) -> String? {
    let task = task(index)
    guard task.merge == .synthesise || task.merge == .summarise, !task.inputs.isEmpty else {
      return nil
    }
    let inputs = task.inputs.compactMap { edge in
      self.output(of: edge).map { MechanicalMerge.Input(name: edge.name, text: $0) }
    }
    return MergeEcho.reason(output, instruction: task.instruction, merging: inputs)
  }
}
