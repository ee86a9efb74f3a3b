import ClusterModel

/// Chooses the text that replaces an output which could not be made.
enum StandIn {
  /// A substitute text.
  struct Substitute: Equatable {
    var text: String
    /// The task that wrote the text. `nil` means the replaced task itself.
    var source: TaskID?
  }

  /// Output that a failed task passes on: its partial output, otherwise its first usable input.
  /// If a task with an expansion has neither, it passes on an empty output, from which the planner
  /// makes the rest of the plan. `nil` means that a task without an expansion has neither.
  /// - Parameter partial: text that the task's agent wrote. Always empty for the answer, because a
  ///   partial answer is worth less than a complete draft.
  static func output(of index: Int, partial: String, on board: TaskBoard) -> Substitute? {
    let task = board.task(index)
    if !partial.isEmpty { return Substitute(text: partial) }
    // If too few inputs for the quorum succeeded, no input replaces the output.
    guard task.expansion != nil || board.hasQuorum(index) else { return nil }
    // An agreement report is not an answer.
    for edge in task.inputs {
      guard let source = board.index(of: edge.from), board.task(source).merge != .agree,
        let output = board.output(of: edge), !output.isEmpty
      else { continue }
      return Substitute(text: output, source: board.writer(of: source))
    }
    return task.expansion == nil ? nil : Substitute(text: "")
  }

  /// Best available answer if the plan stops waiting for a task.
  /// `nil` means that no text answers the question. A task hands on one of its inputs if its
  /// failure rule is `degrade`, or if it only chooses among its inputs. Notes and parts of an
  /// answer are not handed on.
  static func answer(withoutWaitingFor index: Int, on board: TaskBoard) -> Substitute? {
    var seen: Set<Int> = []
    return answer(withoutWaitingFor: index, on: board, seen: &seen)
  }

  private static func answer(
    withoutWaitingFor index: Int, on board: TaskBoard, seen: inout Set<Int>
  ) -> Substitute? {
    guard seen.insert(index).inserted else { return nil }
    let task = board.task(index)
    switch board.phase(index) {
    case .skipped: return nil
    case .done(let report), .expanding(let report):
      // JSON and agreement reports are for programs. The inputs of such a task may be readable.
      if task.contract == .text, task.merge != .agree, !report.output.isEmpty {
        return Substitute(text: report.output, source: board.writer(of: index))
      }
    case .waiting, .running, .pausing: break
    }
    guard board.hasQuorum(index) else { return nil }
    switch task.merge {
    case .vote:
      guard let text = board.mechanicalText(of: index, waiting: false) else { return nil }
      let winner = task.inputs.first { board.output(of: $0) == text }
      return Substitute(
        text: text, source: winner.flatMap { board.index(of: $0.from) }.map { board.writer(of: $0) }
      )
    case .concatenate, .none: return nil
    case .replace: return firstAnswer(among: task.inputs.reversed(), on: board, seen: &seen)
    case .agree, .choose: return firstAnswer(among: task.inputs, on: board, seen: &seen)
    case .summarise, .synthesise:
      guard task.onFailure == .degrade else { return nil }
      return firstAnswer(among: task.inputs, on: board, seen: &seen)
    }
  }

  private static func firstAnswer(
    among edges: [Edge], on board: TaskBoard, seen: inout Set<Int>
  ) -> Substitute? {
    for edge in edges {
      guard let source = board.index(of: edge.from) else { continue }
      if let text = answer(withoutWaitingFor: source, on: board, seen: &seen) { return text }
    }
    return nil
  }
}
