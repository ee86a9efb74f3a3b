extension PlanValidation {
  /// Stages of a choice: at most one per input.
  public static let stages = 0...maximumInputs - 1
  /// Weights of a choice's inputs, in thousandths.
  public static let weights = 1...1_000

  /// Checks the members that only choices and their inputs have.
  static func checkChoice(of task: PlanTask) throws(InvalidPlan) {
    let isChoice = task.merge == .choose
    guard (task.kind != nil) == isChoice else {
      throw InvalidPlan(
        .answerKind, task: task.id,
        isChoice ? "it chooses but has no kind of answer" : "it has a kind but does not choose")
    }
    guard stages.contains(task.stage) else {
      throw InvalidPlan(
        .stageOutOfRange, task: task.id, "its stage must be from 0 to \(stages.upperBound)")
    }
    guard task.inputs.allSatisfy({ weights.contains($0.weightMilli) }) else {
      throw InvalidPlan(
        .weightOutOfRange, task: task.id, "the weight of an input must be from 1 to 1,000")
    }
    let uses = task.inputs.map(\.use)
    guard isChoice else {
      guard uses.allSatisfy({ $0 == .draft }) else {
        throw InvalidPlan(
          .choiceInputs, task: task.id, "only a choice has inputs that are no drafts")
      }
      return
    }
    guard uses.first == .draft, uses.count(where: { $0 == .meanings }) <= 1 else {
      throw InvalidPlan(
        .choiceInputs, task: task.id,
        "the first input of a choice is a draft, and at most one has the meanings")
    }
  }
}
