public import Access
public import ClusterModel
import Text

/// Arguments that name organisations, teams and owners of budgets.
public enum AccountArgument {
  public static func organisation(_ text: String) throws(ProcessFailure) -> String {
    guard let path = AccountPath(text), path.team == nil else {
      throw refusal(of: text, "an organisation such as acme")
    }
    return path.organisation
  }

  /// Parses a team's name `ORGANISATION/TEAM`.
  public static func team(_ text: String) throws(ProcessFailure) -> AccountPath {
    guard let path = AccountPath(text), path.team != nil else {
      throw refusal(of: text, "a team such as acme/research")
    }
    return path
  }

  private static func refusal(of text: String, _ what: String) -> ProcessFailure {
    // A long argument may be a key.
    let shown = text.utf8.count <= 40 ? "“\(text)”" : "the argument"
    return ProcessFailure(
      .usage,
      "\(shown) is not \(what): each part has 1 to \(AccountPath.maximumNameBytes) characters of "
        + "a–z, 0–9, -, _ and .")
  }
}

/// The account or key that an argument of `tutti budgets` names.
public enum BudgetOwnerName: Hashable, Sendable {
  case organisation(String)
  case team(AccountPath)
  case key(KeyID)
  /// An organisation if one has this name, otherwise a key.
  case organisationOrKey(String, KeyID)

  public init(_ text: String) throws(ProcessFailure) {
    if text.hasPrefix("tutti-") {
      self = .key(try KeyReference.id(text))
    } else if text.contains("/") {
      self = .team(try AccountArgument.team(text))
    } else if let key = KeyID(text) {
      self = .organisationOrKey(text, key)
    } else {
      self = .organisation(try AccountArgument.organisation(text))
    }
  }

  /// Path of the record with the budgets. `nil` means that only the registry knows whether the name
  /// is an organisation's or a key's.
  public var path: String? {
    switch self {
    case .organisation(let id): RecordKind.organisations.path(of: id)
    case .team(let account): RecordKind.teams.path(of: "\(account)")
    case .key(let id): RecordKind.keyBudgetsPath("\(id)")
    case .organisationOrKey: nil
    }
  }
}
