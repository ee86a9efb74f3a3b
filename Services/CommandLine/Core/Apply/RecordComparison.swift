import Access
import ClusterModel
import Text

/// Compares records of all kinds, and collects changes, notes and mistakes.
struct RecordComparison {
  let prune: Bool
  /// Time of the comparison in milliseconds since 1970.
  let moment: Int64
  var notes: [String] = []
  var mistakes = FileMistakes()
  var made: [RecordChange] = []
  /// Removals that precede all other changes. A new host may have the URL of a removed one, and a
  /// new alias may stand for a model that was an alias.
  private var firstRemovals: [RecordChange] = []
  var lastRemovals: [RecordChange] = []

  init(prune: Bool, now: Int64) {
    self.prune = prune
    moment = now
  }

  /// All changes in the order in which they are made. The last removals have the opposite order of
  /// kinds, so that keys are revoked before hosts are removed.
  var changes: [RecordChange] { firstRemovals + made + lastRemovals.reversed() }

  // MARK: - Records with members

  mutating func compare(_ present: [ClusterRecord], _ wanted: [FileRecord], of kind: RecordKind) {
    let records = Dictionary(present.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    var kept: Set<String> = []
    var updated: [RecordChange] = []
    var created: [RecordChange] = []
    for (file, id) in zip(wanted, ids(of: wanted, among: present, kind)) {
      switch id {
      case .present(let id):
        kept.insert(id)
        guard let record = records[id], let change = update(record, to: file, of: kind) else {
          continue
        }
        updated.append(change)
        checkExpiry(change.newValue(of: "expires_at_ms"), file, of: kind)
      case .absent(let id):
        created.append(creation(of: file, id: id, kind))
        checkExpiry(file.members["expires_at_ms"], file, of: kind)
      case .mistake(let text): mistakes.add(file.line, "\(kind.section): \(text)")
      }
    }
    made += kind == .models ? Self.inOrderOfAliases(updated + created) : updated + created
    for record in present where !kept.contains(record.id) {
      remove(record, of: kind, madeWay: created)
    }
  }

  /// The registry refuses each change that would make an alias of an alias. So the plan first ends
  /// aliases, then changes aliases, and then creates new ones.
  private static func inOrderOfAliases(_ changes: [RecordChange]) -> [RecordChange] {
    func rank(_ change: RecordChange) -> Int {
      guard case .update(let members) = change.action,
        let aliases = members.first(where: { $0.name == "stands_for" })
      else { return 2 }
      if aliases.new == .list([]) { return 0 }
      return aliases.old == .list([]) ? 2 : 1
    }
    return (0...2).flatMap { wanted in changes.filter { rank($0) == wanted } }
  }

  private mutating func checkExpiry(
    _ time: RecordValue?, _ file: FileRecord, of kind: RecordKind
  ) {
    guard kind == .keys, let time = time?.integer, time <= moment else { return }
    mistakes.add(
      file.line,
      "keys: expires_at_ms of \(kind.label(of: file)) is in the past; to stop a key, set its state "
        + "to disabled")
  }

  /// Refuses teams whose organisation will not exist.
  mutating func checkOwners(of teams: [FileRecord], among organisations: Set<String>) {
    for team in teams {
      let owner = AccountPath(team.id ?? "")?.organisation ?? ""
      if !organisations.contains(owner) {
        mistakes.add(team.line, "teams: there is no organisation \(owner); add it to the file")
      }
    }
  }

  /// Refuses a new host with a URL that another host of the cluster or of the file will have.
  mutating func checkURLs(of hosts: [FileRecord], among present: [ClusterRecord]) {
    func identity(_ members: [String: RecordValue]) -> String {
      HostURL.identity(members["url"]?.text ?? "")
    }
    let named = Set(hosts.compactMap(\.id))
    var owners: [String: String] = [:]
    // With --prune, hosts that the file does not name are removed before new hosts are added.
    for record in present where !prune || named.contains(record.id) {
      owners[identity(record.members)] = record.id
    }
    let known = Set(present.map(\.id))
    for host in hosts where !known.contains(host.id ?? "") {
      let id = host.id ?? ""
      guard let owner = owners.updateValue(id, forKey: identity(host.members)) else { continue }
      mistakes.add(
        host.line,
        "hosts: \(owner) has the URL of \(id); a URL belongs to one host"
          + (prune || named.contains(owner) ? "" : ", and --prune removes those that are not here"))
    }
  }

  /// Refuses hosts with a price of prompts and none of answers, or the reverse.
  mutating func checkPrices(of hosts: [FileRecord]) {
    for host in hosts {
      let stated = ["price_input", "price_output"].filter { host.members[$0] ?? .null != .null }
      guard stated.count == 1, let only = stated.first else { continue }
      mistakes.add(
        host.line,
        "hosts: \(host.id ?? "") has only \(only); state price_input and price_output, or none")
    }
  }

  /// Refuses settings that the registry does not have, and values that it does not permit.
  ///
  /// - Parameter ranges: permitted values by name, as the registry describes them.
  mutating func checkSettings(_ wanted: [FileRecord], _ ranges: [String: RecordValue]) {
    guard !ranges.isEmpty else { return }
    for setting in wanted {
      let id = setting.id ?? ""
      guard let range = ranges[id] else {
        let near = NearNames.near(id, among: ranges.keys.sorted())
        mistakes.add(
          setting.line,
          "settings: “\(id.cut(toBytes: 40))” is no setting of this registry; "
            + (near.isEmpty
              ? "`tutti settings list` shows all"
              : "did you mean \(near.joined(separator: " or "))?"))
        continue
      }
      if let permitted = SettingRange(range)?.refusal(of: setting.members["value"] ?? .null) {
        mistakes.add(setting.line, "settings: \(id) must be \(permitted)")
      }
    }
  }

  /// Adds a note for each change that gives a key an account that does not exist.
  mutating func noteAccounts(organisations: Set<String>, teams: Set<String>) {
    for change in made where change.kind == .keys {
      guard let account = change.newValue(of: "account")?.text.flatMap({ AccountPath($0) }),
        let missing = MissingAccount(account, organisations: organisations, teams: teams)
      else { continue }
      let near = NearNames.near("\(account)", among: (organisations.union(teams)).sorted()).first
      notes.append(
        "\(change.title): \(missing.consequence)" + (near.map { "; did you mean \($0)?" } ?? ""))
    }
  }

  private enum FoundID {
    case present(String)
    case absent(String)
    case mistake(String)
  }

  private func ids(
    of wanted: [FileRecord], among present: [ClusterRecord], _ kind: RecordKind
  ) -> [FoundID] {
    let known = Set(present.map(\.id))
    guard kind.identity == .nameOrID else {
      return wanted.map { record in
        let id = record.id ?? ""
        return known.contains(id) ? .present(id) : .absent(id)
      }
    }
    let named = Set(wanted.compactMap(\.id))
    let byName = Dictionary(
      grouping: present.filter { !named.contains($0.id) },
      by: { $0.members["name"]?.text ?? "" })
    return wanted.map { record in
      if let id = record.id {
        return known.contains(id)
          ? .present(id)
          : .mistake("there is no key \(id); without id, a new key is made")
      }
      let name = record.members["name"]?.text ?? ""
      let found = byName[name] ?? []
      if let first = found.first, found.count == 1 { return .present(first.id) }
      return found.isEmpty
        ? .absent(name)
        : .mistake(
          "\(found.count) keys have the name \(name); add the id of one: "
            + found.map(\.id).joined(separator: ", "))
    }
  }

  private func creation(of file: FileRecord, id: String, _ kind: RecordKind) -> RecordChange {
    RecordChange(kind: kind, id: id, label: kind.label(of: file), action: .create(file.members))
  }

  /// - Returns: `nil` if the record already equals the file's.
  private mutating func update(
    _ record: ClusterRecord, to file: FileRecord, of kind: RecordKind
  ) -> RecordChange? {
    var changes: [RecordChange.MemberChange] = []
    for member in kind.members where member.request != .consent {
      guard let new = file.members[member.name] else { continue }
      let old = record.members[member.name] ?? member.absentValue ?? .null
      guard !member.shape.isEqual(old, new), record.isSet(member) || !new.meansReported else {
        continue
      }
      if member.isFixed {
        mistakes.add(
          file.line,
          "\(kind.section): \(member.name) of \(record.id) is \(old.shown), which "
            + "cannot be changed; choose another id, and remove the old \(kind.noun) with --prune")
      }
      changes.append(.init(name: member.name, old: old, new: new))
    }
    guard !changes.isEmpty else { return nil }
    // The consent is the admin's permission to send the new credential, so it is in the same
    // request.
    for member in kind.members where member.request == .consent {
      if let value = file.members[member.name], changes.contains(where: { $0.name == "credential" })
      {
        changes.append(.init(name: member.name, old: .null, new: value))
      }
    }
    return RecordChange(
      kind: kind, id: record.id, label: kind.label(of: record), action: .update(changes))
  }

  private mutating func remove(
    _ record: ClusterRecord, of kind: RecordKind, madeWay created: [RecordChange]
  ) {
    let label = kind.label(of: record)
    switch kind.removal {
    case .never where kind.identity == .single: return
    case .never(let reason):
      notes.append("\(kind.noun) \(label) is not in the file and stays: \(reason)")
    case .delete, .null:
      guard prune else {
        notes.append("\(kind.noun) \(label) is not in the file and stays; --prune removes it")
        return
      }
      let members = record.members.filter { name, _ in
        kind.member(name).map(record.isSet) ?? true
      }
      let removal = RecordChange(
        kind: kind, id: record.id, label: label, action: .remove(members))
      let makesWay =
        switch kind {
        case .hosts: created.contains { Self.haveOneURL($0, record) }
        case .models: record.members["stands_for"] != .list([])
        default: false
        }
      if makesWay { firstRemovals.append(removal) } else { lastRemovals.append(removal) }
    }
  }

  private static func haveOneURL(_ created: RecordChange, _ record: ClusterRecord) -> Bool {
    guard case .create(let members) = created.action, let url = members["url"]?.text,
      let other = record.members["url"]?.text
    else { return false }
    return HostURL.identity(url) == HostURL.identity(other)
  }
}

/// Permitted values of a setting, as the registry describes them.
private enum SettingRange {
  case choice([String])
  case integer(ClosedRange<Int>)

  /// `nil` means that the description has another form.
  init?(_ range: RecordValue) {
    if let values = range["values"]?.elements?.compactMap(\.text), !values.isEmpty {
      self = .choice(values)
    } else if let least = range["minimum"]?.integer, let most = range["maximum"]?.integer,
      least <= most
    {
      self = .integer(least...most)
    } else {
      return nil
    }
  }

  /// The permitted values for a message. `nil` means that the value is one of them.
  func refusal(of value: RecordValue) -> String? {
    switch self {
    case .choice(let values):
      values.contains(value.shown) ? nil : "one of \(values.joined(separator: ", "))"
    case .integer(let range):
      value.integer.map(range.contains) ?? false
        ? nil : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
  }
}
