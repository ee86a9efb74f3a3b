public import ClusterModel
import Text

/// Decides how often a task asks its model, and how. It is a state machine.
///
/// The model is asked once. It is asked again without `response_format` if the host rejects that,
/// and again for a repair if the output breaks the contract.
public struct TaskDialogue: Sendable {
  /// One question to a model.
  public struct Question: Equatable, Sendable {
    /// Whether the request has `response_format` for the host. The prompt always describes the
    /// format.
    public var hasFormat: Bool
    /// The mistake in the first output. `nil` means that the question is not a repair.
    var repair: Repair?
    /// The tools of which one call is to be written as JSON, in place of a tool call. `nil` means
    /// that the question is the client's own.
    var call: ToolContract?

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

  /// Whether text may be passed on as it arrives. The text of a repair may not, because the first
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
  /// Whether the output goes to the client, because the task is the sink and does not expand.
  public var writesAnswer: Bool { isSink && task.expansion == nil }
}
