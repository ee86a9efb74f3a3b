public import Access

/// Selects keys of the admin's list.
public struct KeyFilter: Equatable, Sendable {
  /// A team, or an organisation with its teams. `nil` means all accounts.
  private let account: AccountPath?
  /// State of the record. Expiry and replacement do not change it. `nil` means all states.
  private let state: KeyState?

  public init(account: AccountPath? = nil, state: KeyState? = nil) {
    self.account = account
    self.state = state
  }

  func admits(_ record: KeyRecord) -> Bool {
    (state.map { record.state == $0 } ?? true)
      && (account.map { account in
        record.account.organisation == account.organisation
          && (account.team == nil || record.account.team == account.team)
      } ?? true)
  }
}
