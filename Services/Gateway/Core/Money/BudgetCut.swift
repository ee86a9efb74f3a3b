public import Money
import Text

/// The limit of an answer for which a hold pays less than for the longest possible one.
public struct BudgetCut: Hashable, Sendable {
  /// Maximum tokens of one answer, or of a plan.
  let tokens: Int
  /// The budget or balance that has no more money. `nil` means that it is not known.
  let ceiling: Ceiling?

  public init(tokens: Int, ceiling: Ceiling?) {
    self.tokens = tokens
    self.ceiling = ceiling
  }

  /// Value of the header `x-tutti-affordable-tokens`.
  public var tokensText: String { String(tokens) }

  /// Value of the header `x-tutti-limiting-budget`: the id, and the time at which the budget resets.
  /// A balance has no such time.
  public var budgetText: String? {
    ceiling.map { ceiling in
      resetText.map { "\(ceiling.id.name); resets=\($0)" } ?? ceiling.id.name
    }
  }

  private var resetText: String? {
    ceiling?.resetsAt.map { UTCDate(milliseconds: $0).description }
  }

  /// The member `limited_by` of `tutti`.
  var json: JSON {
    var members: [(String, JSON)] = [("affordable_tokens", .integer(tokens))]
    if let ceiling { members.append(("budget", .string(ceiling.id.name))) }
    if let resetText { members.append(("resets_at", .string(resetText))) }
    return .object(members)
  }
}
