public import Access

/// A key's account that has no record in the registry. Such an account has no budget.
public enum MissingAccount: Hashable, Sendable {
  case organisation(String)
  /// The team has no record, but its organisation has one.
  case team(AccountPath)

  /// Account of keys that were created without an account. It needs no record.
  static let standard = "default"

  /// `nil` means that the account exists, or that it needs no record.
  public init?(_ account: AccountPath, organisations: Set<String>, teams: Set<String>) {
    if organisations.contains(account.organisation) {
      guard account.team != nil, !teams.contains("\(account)") else { return nil }
      self = .team(account)
    } else {
      guard account.organisation != Self.standard else { return nil }
      self = .organisation(account.organisation)
    }
  }

  /// The effect on the key, for people.
  public var consequence: String {
    switch self {
    case .organisation(let id):
      "there is no organisation \(id), so only a budget of the key itself limits it"
    case .team(let account):
      "there is no team \(account), so only budgets of \(account.organisation) and of the key itself "
        + "limit it"
    }
  }
}
