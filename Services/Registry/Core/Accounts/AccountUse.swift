internal import Access
internal import ClusterModel
internal import Money

/// Reasons for which an account cannot be removed.
public struct AccountUse: Hashable, Sendable {
  /// Keys of the account that have not ended.
  let keys: [String]
  /// Teams of the organisation.
  let teams: [AccountPath]
  /// Credits of the organisation, with those that gateways hold.
  let balance: MicroCredits
  /// Whether gateways hold credits for requests of the account.
  let hasHolds: Bool
  /// Whether keys belong to the organisation that were created without an account.
  let isDefault: Bool

  var isEmpty: Bool {
    keys.isEmpty && teams.isEmpty && balance == .zero && !hasHolds && !isDefault
  }

  /// Whether only holds prevent the removal. They end without an admin.
  public var isTemporary: Bool {
    hasHolds && keys.isEmpty && teams.isEmpty && balance == .zero && !isDefault
  }

  /// Maximum names in one list of a message.
  private static let namedAtMost = 3

  /// Steps that precede the removal, one phrase each.
  func obstacles(of account: AccountPath) -> [String] {
    if isDefault { return ["keys that are created without an account belong to it"] }
    var obstacles: [String] = []
    if !keys.isEmpty {
      obstacles.append(
        "\(counted(keys.count, "key")) \(keys.count == 1 ? "is" : "are") not revoked "
          + "(\(Self.list(keys))); revoke or move \(keys.count == 1 ? "it" : "them")")
    }
    if !teams.isEmpty {
      obstacles.append(
        "it has \(counted(teams.count, "team")) (\(Self.list(teams.map(\.description)))); remove "
          + "\(teams.count == 1 ? "it" : "them") first")
    }
    if hasHolds {
      obstacles.append(
        "gateways hold credits for its requests; try again when they have ended")
    }
    if balance != .zero { obstacles.append(balanceText(of: account)) }
    return obstacles
  }

  private func balanceText(of account: AccountPath) -> String {
    let amount = balance.credits
    let (order, credits) =
      balance < .zero ? ("credit", String(amount.dropFirst())) : ("debit", amount)
    return
      "its balance is \(amount) credits\(hasHolds ? ", with those held," : "") and not 0; settle "
      + "it with `tutti ledger \(order) \(account) \(credits)`"
  }

  private static func list(_ names: [String]) -> String {
    names.prefix(namedAtMost).joined(separator: ", ") + (names.count > namedAtMost ? ", …" : "")
  }
}
