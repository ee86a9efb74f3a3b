public import ClusterModel

/// Decides how often a task asks its model, and how: once; again without `response_format` if the
/// host rejects it; again if the output breaks the contract. A state machine: events go in, the
/// next step comes out.
public struct TaskDialogue: Sendable {
  /// One question to a model.
  public struct Question: Equatable, Sendable {
    /// Whether the host gets the output format (`response_format`), or only the model does.
    public var hasFormat: Bool
    /// The mistake in the previous output. `nil` means that this is the first question.
    var repair: Repair?

    public init(hasFormat: Bool, repair: Repair? = nil) {
      self.hasFormat = hasFormat
      self.repair = repair
    }
  }

  /// An output that breaks its contract.
  public struct Repair: Equatable, Sendable {
    var output: String
    var mistake: String

    public init(output: String, mistake: String) {
      self.output = output
      self.mistake = mistake
    }
  }

  public enum Step: Equatable, Sendable {
    case ask(Question)
    case finish(output: String, contractMet: Bool)
    case fail(Failure)
  }

  private let contract: OutputContract
  private var question: Question
  private var firstOutput: String?

  public init(for order: TaskOrder) {
    // The final answer has the form that the client asked for, and cannot be retracted.
    contract = order.writesAnswer ? .text : order.task.contract
    question = Question(hasFormat: ResponseFormat.json(for: contract) != nil)
  }

  public func begin() -> Question { question }

  /// Whether text may be passed on as it arrives. Text of a repair may not, because the first
  /// output has already been passed on.
  public var passesOn: Bool { question.repair == nil }

  /// Handles a failure of the hosts.
  public mutating func failed(_ failure: Failure) -> Step {
    // The host may reject only `response_format`, or its dialect may lack it.
    if question.hasFormat, failure.code == .invalidRequest || failure.code == .noEligibleHost {
      question.hasFormat = false
      return .ask(question)
    }
    // The first output is better than none.
    if let firstOutput, failure.code != .cancelled {
      return .finish(output: firstOutput, contractMet: false)
    }
    return .fail(failure)
  }

  public mutating func answered(_ output: String) -> Step {
    switch ContractCheck.check(output, against: contract) {
    case .met(let output): return .finish(output: output, contractMet: true)
    case .broken(let mistake):
      guard let firstOutput else {
        firstOutput = output
        question.repair = Repair(output: output, mistake: mistake)
        return .ask(question)
      }
      return .finish(output: firstOutput, contractMet: false)
    }
  }
}

extension TaskOrder {
  /// Whether the output goes to the client: the task is the sink and is not expanded.
  public var writesAnswer: Bool { isSink && task.expansion == nil }
}
