public import ClusterModel

/// A planning error: a code to match and a message that names a valid alternative.
public struct PlanError: Error, Hashable, Sendable, CustomStringConvertible {
  public var code: Code
  public var message: String
  /// Member of the client's request that caused the error, for example `tutti.rounds`. `nil` means
  /// none.
  public var param: String?

  public init(_ code: Code, _ message: String, param: String? = nil) {
    self.code = code
    self.message = message
    self.param = param
  }

  /// - Parameter shape: the part that does not fit, in the plural: "3 members".
  init(budget: Int, shape: String, needs: Int) {
    self.init(
      .budgetTooSmall,
      "a budget of \(counted(budget, "token")) is too small: \(shape) need at least \(needs) for "
        + "this query. Raise the budget or shorten the request.", param: TokenPlan.option)
  }

  public enum Code: String, CaseIterable, Sendable {
    /// No pattern has this name.
    case unknownPattern
    /// A real model's name or `tutti/fast`: the gateway answers those itself.
    case notAPattern
    /// No eligible host offers a model that the client named.
    case modelNotFound
    /// No eligible host offers a chat model.
    case noModels
    /// An option is outside its range.
    case optionOutOfRange
    /// The budget does not even cover short answers.
    case budgetTooSmall
    /// The plan breaks a validation rule: a bug in the pattern.
    case invalidPlan
  }

  public var description: String { "\(code.rawValue): \(message)" }

  /// The error with a code of the gateway's table, as sent over the bus.
  public var failure: Failure { Failure(outerCode, message, param: param) }

  private var outerCode: Failure.Code {
    switch code {
    case .unknownPattern, .modelNotFound: .modelNotFound
    case .notAPattern, .optionOutOfRange, .budgetTooSmall: .invalidRequest
    case .noModels: .noEligibleHost
    case .invalidPlan: .invalidPlan
    }
  }
}
