public import ClusterModel

/// A record as the registry has it, in normal form.
struct ClusterRecord: Hashable, Sendable {
  /// Empty if the record's kind has no ids.
  let id: String
  var members: [String: RecordValue]
  /// Whether learned members have the values that an admin set. `false` means that they have the
  /// values in force, which the host may have reported.
  var hasConfigured = false

  /// Whether the member has the admin's setting and not a value that the host may have reported.
  func isSet(_ member: RecordMember) -> Bool { !member.isLearned || hasConfigured }
}

/// A key that is not revoked, as far as it prevents the removal of its account.
struct AccountKey: Hashable, Sendable {
  let id: String
  let name: String
  let account: String
  /// Milliseconds since 1970 at which a newer key replaces this one. `nil` means never.
  let endsAt: Int64?

  /// The key's name for people.
  var label: String { "\(name) (\(id))" }
}

/// Credits of an organisation, as the registry's admin API shows them.
struct OrganisationCredits: Hashable, Sendable {
  /// Credits that are neither spent nor held.
  let balance: String
  /// Credits that gateways hold for requests.
  let held: String

  /// `true` if the balance, with the credits held, is zero.
  var isSettled: Bool { balance == (held == "0" ? "0" : "-" + held) }
}

/// The records that a cluster file can set, as the registry has them.
public struct ClusterState: Equatable, Sendable {
  private var records: [String: [ClusterRecord]] = [:]
  /// Sections that the registry does not know.
  private var unknownSections: Set<String> = []
  /// Permitted values of settings, by id, as the registry describes them.
  private(set) var settingRanges: [String: RecordValue] = [:]
  private(set) var accountKeys: [AccountKey] = []
  /// Credits of organisations, by id.
  private(set) var credits: [String: OrganisationCredits] = [:]

  public init() {}

  subscript(_ kind: RecordKind) -> [ClusterRecord] { records[kind.section] ?? [] }

  /// Marks the kind as unknown to the registry, which is older than this command.
  public mutating func setUnknown(_ kind: RecordKind) { unknownSections.insert(kind.section) }

  /// Whether the registry does not know the kind.
  public func lacks(_ kind: RecordKind) -> Bool { unknownSections.contains(kind.section) }

  /// Adds elements of the registry's list. Records that a cluster file would not contain are left
  /// out.
  public mutating func add(
    _ elements: [RecordValue], of kind: RecordKind
  ) throws(ProcessFailure) {
    for element in elements {
      guard case .object(let values) = element, let record = Self.record(values, of: kind) else {
        throw ProcessFailure(
          .failed, "the registry's answer has no list of \(kind.section); is the address right?")
      }
      if kind.identity == .map { settingRanges[record.id] = values["range"] ?? .null }
      addUse(record.id, values, of: kind)
      if Self.counts(record, values, of: kind) { records[kind.section, default: []].append(record) }
    }
  }

  /// Adds facts that prevent the removal of an account.
  private mutating func addUse(
    _ id: String, _ values: [String: RecordValue], of kind: RecordKind
  ) {
    switch kind {
    case .keys where values["state"] != .text("revoked"):
      accountKeys.append(
        AccountKey(
          id: id, name: values["name"]?.text ?? "", account: values["account"]?.text ?? "",
          endsAt: values["grace_until_ms"]?.integer.map { Int64($0) }))
    case .organisations:
      credits[id] = OrganisationCredits(
        balance: values["balance"]?.text ?? "0", held: values["held"]?.text ?? "0")
    default: break
    }
  }

  /// Ids of all keys. The registry's list of keys has no budgets, so budgets are read for each id.
  public var keyIDs: [String] { self[.keys].map(\.id) }

  /// Names of the keys whose ids are not among `ids`.
  public func keyNames(except ids: [String]) -> Set<String> {
    let ids = Set(ids)
    return Set(self[.keys].filter { !ids.contains($0.id) }.compactMap { $0.members["name"]?.text })
  }

  /// Adds the budgets of a key.
  ///
  /// - Parameter answer: body of the answer to `GET /admin/v1/key-budgets/ID`.
  public mutating func setKeyBudgets(_ answer: RecordValue, of id: String) {
    guard let index = self[.keys].firstIndex(where: { $0.id == id }),
      let shape = RecordKind.keys.member("budgets")?.shape
    else { return }
    records[RecordKind.keys.section]?[index].members["budgets"] = shape.normal(
      answer["budgets"] ?? .null)
  }

  /// Reads a record from an answer. `nil` means that the record has no id.
  static func record(_ values: [String: RecordValue], of kind: RecordKind) -> ClusterRecord? {
    let id: String
    switch kind.identity {
    case .single, .prices: id = ""
    case .nameOrID, .map, .member:
      guard let text = values["id"]?.text else { return nil }
      id = text
    }
    var values = values
    let configured = values["configured"]
    for member in kind.members where member.isLearned && configured != nil {
      values[member.name] = configured?[member.name] ?? .null
      if case .choice(let choices) = member.shape, choices.contains(Self.learned),
        values[member.name] == .null
      {
        values[member.name] = .text(Self.learned)
      }
    }
    var members = kind.members.filter { $0.request != .consent }.normal(values)
    if kind.identity == .map { members["value"] = values["value"] ?? .null }
    return ClusterRecord(id: id, members: members, hasConfigured: configured != nil)
  }

  /// Value of a learned choice that no admin has made.
  static let learned = "auto"

  /// Whether a cluster file would contain the record.
  ///
  /// - Parameter values: the record as the registry returned it.
  static func counts(
    _ record: ClusterRecord, _ values: [String: RecordValue], of kind: RecordKind
  ) -> Bool {
    switch kind.identity {
    // A replaced key ends with its grace period, so a file does not contain it.
    case .nameOrID:
      values["state"] != .text("revoked") && values["grace_until_ms"] ?? .null == .null
    case .map: values["source"] == .text("runtime")
    // The registry lists every model that hosts offer, with or without a record.
    case .member: kind.creation == .post || record.members != kind.members.normal([:])
    case .single, .prices: true
    }
  }
}
