/// One bound on the spending of a key.
public enum BudgetCeiling: Hashable, Sendable, CustomStringConvertible {
  /// The organisation's prepaid balance.
  case balance(organisation: String)
  case organisation(String)
  case team(String)
  case key(String)

  public var description: String {
    switch self {
    case .balance(let organisation): "balance of organisation \(organisation)"
    case .organisation(let id): "budget of organisation \(id)"
    case .team(let id): "budget of team \(id)"
    case .key(let id): "budget of key \(id)"
    }
  }
}

/// The ceiling that a request does not fit under.
public struct CeilingRefusal: Error, Hashable, Sendable {
  public let ceiling: BudgetCeiling
  /// `nil` means a balance, which has no period.
  public let window: BudgetWindow?
  /// The budget's amount per period, or the balance.
  public let amount: MicroCredits
  public let remaining: MicroCredits
  /// Credits that the request needs.
  public let needed: MicroCredits
  /// Milliseconds since 1970. `nil` means that waiting does not help: an admin must add credits.
  public let resets: Int64?
}

extension CeilingRefusal: CustomStringConvertible {
  /// Names the ceiling, its amount, and when it resets, for the client.
  public var description: String {
    let used = "\(remaining.credits) credits are left and \(needed.credits) are needed"
    let granted = window.map { ", \(amount.credits) credits per \($0.period.rawValue)" } ?? ""
    let remedy =
      resets.map { "it resets at \(UTCDate(milliseconds: $0))" } ?? "an admin must add credits"
    return "\(ceiling)\(granted): \(used); \(remedy)"
  }
}
