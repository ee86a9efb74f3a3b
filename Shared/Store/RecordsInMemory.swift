internal import Limits

/// Keys, accounts, models, settings and prices in memory, as the sum of all changes.
struct RecordsInMemory: Sendable {
  private struct AccountName: Hashable {
    let organisation: String
    /// Name of the team. An empty name stands for the organisation itself.
    let team: String
  }

  private var keysByID: [String: StoredKey] = [:]
  private var accountsByName: [AccountName: StoredRecord] = [:]
  private var settingsByName: [String: StoredRecord] = [:]
  private var modelsByName: [String: StoredRecord] = [:]
  private(set) var prices: [StoredPrice] = []
  /// Revision of the last change.
  private(set) var revision = RecordRevision(0)

  // MARK: - Queries

  var keys: [StoredKey] { keysByID.values.sorted { $0.id.isBefore($1.id) } }

  var settings: [StoredRecord] { Self.sorted(settingsByName) }

  var models: [StoredRecord] { Self.sorted(modelsByName) }

  private static func sorted(_ records: [String: StoredRecord]) -> [StoredRecord] {
    records.sorted { $0.key.isBefore($1.key) }.map(\.value)
  }

  var accounts: [StoredRecord] {
    accountsByName.sorted { left, right in
      left.key.organisation == right.key.organisation
        ? left.key.team.isBefore(right.key.team)
        : left.key.organisation.isBefore(right.key.organisation)
    }.map(\.value)
  }

  /// The present state of a record. `nil` means that the record is absent.
  func present(_ subject: RecordSubject) -> (json: String, revision: RecordRevision)? {
    switch subject {
    case .key(let id): keysByID[id].map { ($0.json, $0.revision) }
    case .organisation(let name):
      accountsByName[AccountName(organisation: name, team: "")].map { ($0.json, $0.revision) }
    case .team(let name, let organisation):
      accountsByName[AccountName(organisation: organisation, team: name)]
        .map { ($0.json, $0.revision) }
    case .setting(let name): settingsByName[name].map { ($0.json, $0.revision) }
    case .model(let name): modelsByName[name].map { ($0.json, $0.revision) }
    }
  }

  // MARK: - Changes

  /// Makes a change with the next revision. Does not check the state that the change expects.
  /// - Returns: the new revision.
  mutating func make(_ change: RecordChange) -> RecordRevision {
    let revision = takeRevision()
    guard let (subject, _) = change.target else {
      prices.append(
        StoredPrice(
          position: Int64(prices.count) + 1, json: change.json ?? "", revision: revision))
      return revision
    }
    let record = change.json.map {
      StoredRecord(subject: subject, json: $0, revision: revision)
    }
    switch subject {
    case .key(let id):
      keysByID[id] = record.map {
        StoredKey(id: id, mac: change.mac ?? [], json: $0.json, revision: revision)
      }
    case .organisation(let name):
      accountsByName[AccountName(organisation: name, team: "")] = record
    case .team(let name, let organisation):
      accountsByName[AccountName(organisation: organisation, team: name)] = record
    case .setting(let name): settingsByName[name] = record
    case .model(let name): modelsByName[name] = record
    }
    return revision
  }

  /// Takes the next revision for a change of a record that this type does not hold.
  @discardableResult
  mutating func takeRevision() -> RecordRevision {
    revision = RecordRevision(revision.number.addingCapped(1))
    return revision
  }
}

extension String {
  /// Compares texts as SQLite orders them.
  fileprivate func isBefore(_ other: String) -> Bool { utf8.lexicographicallyPrecedes(other.utf8) }
}
