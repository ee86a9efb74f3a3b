import Access

/// Collects the changes of all kinds.
struct RecordComparison {
  let prune: Bool
  var notes: [String] = []
  var mistakes = FileMistakes()
  var made: [RecordChange] = []
  /// Removals that must precede all other changes: a new host may have the URL of a removed one.
  private var firstRemovals: [RecordChange] = []
  private var lastRemovals: [RecordChange] = []

  init(prune: Bool) { self.prune = prune }

  /// Keys are revoked before hosts are removed.
  var changes: [RecordChange] { firstRemovals + made + lastRemovals.reversed() }

  // MARK: - Records with members

  mutating func compare(_ present: [ClusterRecord], _ wanted: [FileRecord], of kind: RecordKind) {
    let records = Dictionary(present.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    var kept: Set<String> = []
    var created: [RecordChange] = []
    for (file, id) in zip(wanted, ids(of: wanted, among: present, kind)) {
      switch id {
      case .present(let id):
        kept.insert(id)
        if let record = records[id] { update(record, to: file, of: kind) }
      case .absent(let id): created.append(creation(of: file, id: id, kind))
      case .mistake(let text): mistakes.add(file.line, "\(kind.section): \(text)")
      }
    }
    made += created
    for record in present where !kept.contains(record.id) {
      remove(record, of: kind, madeWay: created)
    }
  }

  /// Refuses teams of organisations that will not exist.
  mutating func checkOwners(of teams: [FileRecord], among organisations: [String]) {
    let known = Set(organisations)
    for team in teams {
      let owner = AccountPath(team.id ?? "")?.organisation ?? ""
      if !known.contains(owner) {
        mistakes.add(team.line, "teams: there is no organisation \(owner); add it to the file")
      }
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

  private mutating func update(
    _ record: ClusterRecord, to file: FileRecord, of kind: RecordKind
  ) {
    var changes: [RecordChange.MemberChange] = []
    for member in kind.members where member.request != .consent {
      guard let new = file.members[member.name] else { continue }
      let old = record.members[member.name] ?? member.absentValue ?? .null
      guard !member.shape.isEqual(old, new) else { continue }
      if member.isFixed {
        mistakes.add(
          file.line,
          "\(kind.section): \(member.name) of \(record.id) is \(old.shown), which "
            + "cannot be changed; choose another id, and remove the old \(kind.noun) with --prune")
      }
      changes.append(.init(name: member.name, old: old, new: new))
    }
    guard !changes.isEmpty else { return }
    // The admin consents to sending the new credential, so the consent is sent with it.
    for member in kind.members where member.request == .consent {
      if let value = file.members[member.name], changes.contains(where: { $0.name == "credential" })
      {
        changes.append(.init(name: member.name, old: .null, new: value))
      }
    }
    made.append(
      RecordChange(
        kind: kind, id: record.id, label: kind.label(of: record), action: .update(changes)))
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
      let removal = RecordChange(kind: kind, id: record.id, label: label, action: .remove)
      if let name = kind.uniqueMember,
        created.contains(where: { change in
          if case .create(let members) = change.action {
            members[name] == record.members[name]
          } else {
            false
          }
        })
      {
        firstRemovals.append(removal)
      } else {
        lastRemovals.append(removal)
      }
    }
  }
}
