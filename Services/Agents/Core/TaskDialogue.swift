public import ClusterModel

/// How often a task asks its model, and what with: once, once more when a host does not take the way
/// in which it was asked, once more when what came back is not what the contract says. A machine:
/// what happened goes in, what to do next comes out.
public struct TaskDialogue: Sendable {
  /// One question to a model.
  public struct Question: Equatable, Sendable {
    /// Whether the host is told the form of the answer (`response_format`), or the model alone.
    public var hasFormat: Bool
    /// What was wrong with the answer before; nil: this is the first.
    public var repair: Repair?

    public init(hasFormat: Bool, repair: Repair? = nil) {
      self.hasFormat = hasFormat
      self.repair = repair
    }
  }

  /// An answer that does not fit its contract.
  public struct Repair: Equatable, Sendable {
    public var said: String
    public var mistake: String

    public init(said: String, mistake: String) {
      self.said = said
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
    // The answer itself has the form that the client asked for, and cannot be taken back.
    contract = order.writesAnswer ? .text : order.task.contract
    question = Question(hasFormat: ResponseFormat.json(for: contract) != nil)
  }

  public func begin() -> Question { question }

  /// Whether its words may be passed on as they come: those of a repair follow others.
  public var passesOn: Bool { question.repair == nil }

  /// The hosts answered nothing.
  public mutating func failed(_ failure: Failure) -> Step {
    // A host that refuses the request may only refuse its form, or its dialect has none.
    if question.hasFormat, failure.code == .invalidRequest || failure.code == .noEligibleHost {
      question.hasFormat = false
      return .ask(question)
    }
    // What the first answer was is better than nothing.
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
        question.repair = Repair(said: output, mistake: mistake)
        return .ask(question)
      }
      return .finish(output: firstOutput, contractMet: false)
    }
  }
}

extension TaskOrder {
  /// Whether what it writes goes to the client: it is the sink, and nothing follows from it.
  public var writesAnswer: Bool { isSink && task.expansion == nil }
}
