public import ClusterModel

/// Why no plan could be made: a code to match and a sentence that says what to ask for instead.
public struct PlanError: Error, Hashable, Sendable, CustomStringConvertible {
  public var code: Code
  public var message: String

  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
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
  public var failure: Failure {
    switch code {
    case .unknownPattern, .modelNotFound: Failure(.modelNotFound, message)
    case .notAPattern, .optionOutOfRange, .budgetTooSmall: Failure(.invalidRequest, message)
    case .noModels: Failure(.noEligibleHost, message)
    case .invalidPlan: Failure(.invalidPlan, message)
    }
  }
}
