import Access
import ClusterModel

// The registry refuses to remove an account in use. The plan keeps such an account, so that the
// command does not stop in the middle.

extension RecordComparison {
  /// Leaves out the removals of accounts that are in use after the other changes, and notes why.
  mutating func keepUsedAccounts(_ state: ClusterState) {
    let keys = keysAfterChanges(of: state)
    // Teams come first, because a team that stays keeps its organisation.
    for kind in [RecordKind.teams, .organisations] {
      let removals = lastRemovals.filter { $0.kind == kind }
      guard !removals.isEmpty else { continue }
      let teams = kind == .organisations ? teamsAfterChanges(of: state) : [:]
      var kept: Set<String> = []
      for removal in removals {
        let uses =
          Self.list("key", keys[removal.id] ?? []) + Self.list("team", teams[removal.id] ?? [])
          + Self.uses(state.credits[removal.id])
          + (removal.id == MissingAccount.standard ? ["keys without an account belong to it"] : [])
        guard !uses.isEmpty else { continue }
        kept.insert(removal.id)
        notes.append(
          "\(kind.noun) \(removal.label) is not in the file and stays: "
            + uses.joined(separator: "; "))
      }
      lastRemovals.removeAll { $0.kind == kind && kept.contains($0.id) }
    }
  }

  /// Labels of the keys that can be used after the changes, by team and by organisation.
  private func keysAfterChanges(of state: ClusterState) -> [String: [String]] {
    let revoked = Set(lastRemovals.filter { $0.kind == .keys }.map(\.id))
    var accounts: [String: String] = [:]
    var keys: [(account: String, label: String)] = []
    for change in made where change.kind == .keys {
      guard let account = change.newValue(of: "account")?.text else { continue }
      if change.makesKey {
        keys.append((account, change.label))
      } else {
        accounts[change.id] = account
      }
    }
    for key in state.accountKeys
    where !revoked.contains(key.id) && key.endsAt ?? .max > moment {
      keys.append((accounts[key.id] ?? key.account, key.label))
    }
    var labels: [String: [String]] = [:]
    for key in keys {
      guard let account = AccountPath(key.account) else { continue }
      labels[account.organisation, default: []].append(key.label)
      if account.team != nil { labels[key.account, default: []].append(key.label) }
    }
    return labels
  }

  /// Ids of the teams that exist after the changes, by organisation.
  private func teamsAfterChanges(of state: ClusterState) -> [String: [String]] {
    let removed = Set(lastRemovals.filter { $0.kind == .teams }.map(\.id))
    let present = state[.teams].map(\.id).filter { !removed.contains($0) }
    let new = made.filter { $0.kind == .teams && !present.contains($0.id) }.map(\.id)
    return Dictionary(grouping: present + new) { AccountPath($0)?.organisation ?? "" }
  }

  private static func list(_ noun: String, _ names: [String]) -> [String] {
    guard let first = names.first else { return [] }
    return names.count == 1
      ? ["it has the \(noun) \(first)"]
      : ["it has \(counted(names.count, noun)), for example \(first)"]
  }

  private static func uses(_ credits: OrganisationCredits?) -> [String] {
    guard let credits else { return [] }
    return (credits.held == "0" ? [] : ["gateways hold \(credits.held) credits for its requests"])
      + (credits.isSettled ? [] : ["its balance is \(credits.balance) credits"])
  }
}
