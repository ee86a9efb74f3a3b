import ClusterModel
import Text

extension PlanRun {
  /// Output of a mechanical task. `nil` means that a missing input could change it.
  /// - Parameter waiting: false if missing inputs will not arrive any more.
  func mechanicalText(of index: Int, waiting: Bool = true) -> String? {
    let task = task(index)
    let missing = waiting ? task.inputs.count { !isSettled($0) } : 0
    // Texts are read only if all inputs are settled or a vote may end early.
    guard missing == 0 || task.merge == .vote else { return nil }
    let inputs = mechanicalInputs(of: task)
    guard !inputs.isEmpty,
      MechanicalMerge.isDecided(task.merge, by: inputs, missing: missing),
      missing == 0 || inputs.count >= task.quorum ?? 1
    else { return nil }
    return MechanicalMerge.text(task.merge, of: inputs)
  }

  private func mechanicalInputs(of task: PlanTask) -> [MechanicalMerge.Input] {
    task.inputs.compactMap { edge in
      preparedOutput(of: edge).map { MechanicalMerge.Input(name: edge.name, text: $0) }
    }
  }

  /// Streams the leading inputs of a sink that concatenates, up to the first missing input.
  mutating func streamLeadingInputs() {
    let task = task(graph.sink)
    guard task.merge == .concatenate, isStreaming(graph.sink),
      case .waiting = tasks[graph.sink].phase
    else { return }
    var leading = task
    leading.inputs = Array(task.inputs.prefix { isSettled($0) })
    // If an input was skipped, the sink may still fail, so nothing is sent yet.
    guard leading.inputs.allSatisfy({ output(of: $0) != nil }) else { return }
    emitRest(of: MechanicalMerge.concatenated(mechanicalInputs(of: leading)))
  }

  /// Emits the part of the answer that the client does not have yet.
  /// - Returns: false if the client has a different beginning.
  @discardableResult
  mutating func emitRest(of answer: String) -> Bool {
    let said = tasks[graph.sink].text.utf8
    let bytes = Array(answer.utf8)
    guard bytes.starts(with: said) else { return false }
    var rest = bytes[said.count...]
    while !rest.isEmpty {
      let most = rest.prefix(limits.deltaBytes)
      let cut = most.count < rest.count ? UTF8Bytes.incompleteTailLength(of: most) : 0
      let piece = cut < most.count ? most.dropLast(cut) : most
      rest = rest[piece.endIndex...]
      directives.append(.emit(.delta(TaskDelta(text: String(decoding: piece, as: UTF8.self)))))
    }
    tasks[graph.sink].text = answer
    return true
  }
}

extension TaskReport {
  /// Report of a task that was computed without a host.
  static func mechanical(_ text: String) -> TaskReport {
    TaskReport(
      host: "", model: "", usage: .zero, firstTokenMilliseconds: 0, totalMilliseconds: 0,
      finishReason: "stop", output: text)
  }
}
