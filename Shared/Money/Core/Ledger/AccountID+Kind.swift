public import ClusterModel

extension AccountID {
  private static let keyPrefix = "key/"

  /// Account of a key, for leases and usage. No ledger entry has such an account.
  public static func key(_ id: String) -> AccountID { AccountID(keyPrefix + id) }

  /// Id of the key. `nil` means that this is not the account of a key.
  public var keyID: String? {
    name.hasPrefix(Self.keyPrefix) ? String(name.dropFirst(Self.keyPrefix.utf8.count)) : nil
  }

  /// Purpose of an account, which the beginning of its name shows.
  public enum Kind: Hashable, Sendable {
    /// Counterpart of all credits that admins added.
    case issued
    /// An organisation's balance.
    case organisation(String)
    /// Credits of an organisation that gateways hold in leases.
    case holds(String)
    /// Earnings of a host that were not paid out yet.
    case host(HostID)
    /// The operator's share: bills minus payouts.
    case margin
    /// Earnings that were paid to hosts outside Tutti.
    case paid
  }

  public static let issued = AccountID("issued")
  public static let margin = AccountID("margin")
  public static let paid = AccountID("paid")

  public static func organisation(_ id: String) -> AccountID { AccountID("org/\(id)") }
  public static func holds(of organisation: String) -> AccountID {
    AccountID("holds/\(organisation)")
  }
  public static func host(_ id: HostID) -> AccountID { AccountID("host/\(id.name)") }

  /// `nil` means that the name follows no known form.
  public var kind: Kind? {
    switch name {
    case "issued": return .issued
    case "margin": return .margin
    case "paid": return .paid
    default: break
    }
    let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[1].isEmpty else { return nil }
    let owner = String(parts[1])
    return switch parts[0] {
    case "org": .organisation(owner)
    case "holds": .holds(owner)
    case "host": .host(HostID(owner))
    default: nil
    }
  }
}
