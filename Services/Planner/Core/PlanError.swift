public import ClusterModel

/// Why no plan could be made: a code to match and a sentence that says what to ask for instead.
public struct PlanError: Error, Hashable, Sendable, CustomStringConvertible {
  public var code: Code
  public var message: String
  /// The member of the client's request that is to blame, for example `tutti.rounds`; nil: none.
  public var param: String?

  public init(_ code: Code, _ message: String, param: String? = nil) {
    self.code = code
    self.message = message
    self.param = param
  }

  /// - Parameter shape: what does not fit, in the plural: "3 members".
  init(budget: Int, shape: String, needs: Int) {
    self.init(
      .budgetTooSmall,
      "a budget of \(counted(budget, "token")) is too small: \(shape) need at least \(needs) for "
        + "this query. Ask for more tokens or for less.", param: TokenShares.option)
  }

  public enum Code: String, CaseIterable, Sendable {
    /// There is no such pattern.
    case unknownPattern
    /// A real model's name, or `tutti/fast`: the gateway answers those itself.
    case notAPattern
    /// A model was named that no eligible host offers.
    case modelNotFound
    /// No eligible host offers any chat model.
    case noModels
    /// An option is outside its range.
    case optionOutOfRange
    /// The budget does not cover even short answers.
    case budgetTooSmall
    /// What was made breaks a rule of plans: a bug of the pattern.
    case invalidPlan
  }

  public var description: String { "\(code.rawValue): \(message)" }

  /// As it goes over the bus, with a code of the gateway's table.
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
