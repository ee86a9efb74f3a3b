public import ClusterModel
internal import Limits

/// Keys, accounts, models, settings and prices. They are kept in memory as the sum of all stored
/// changes. The changes are also the audit log.
extension MongoAccountStore {
  /// Number of documents in one read.
  private static let documentsPerPage = 64
  /// Kind of a change of a host in the audit log.
  private static let hostKind = "host"

  public func apply(
    _ changes: [RecordChange], by author: ChangeAuthor
  ) async throws(Failure) -> ChangeOutcome {
    for change in changes { try AccountStore.check(change) }
    guard !changes.isEmpty else { return .applied([]) }
    return try await perform { [self] client, state throws(Failure) in
      try checkEpoch(client)
      let before = try Self.records(client, &state)
      var after = before
      var revisions: [RecordRevision] = []
      var made: [BSONDocument] = []
      for (index, change) in changes.enumerated() {
        let present = change.target.flatMap { after.present($0.subject) }
        if let (_, expected) = change.target, !expected.holds(for: present?.revision) {
          return .conflict(change: index, current: present?.revision)
        }
        let revision = after.make(change)
        revisions.append(revision)
        made.append(
          Self.document(
            change, before: present?.json, revision, pricePosition: after.prices.count))
      }
      try write(made, by: author, client, &state, after: before, giving: after)
      return .applied(revisions)
    }
  }

  public func recordChange(
    ofHost id: String, before: String?, after: String?, by author: ChangeAuthor
  ) async throws(Failure) {
    try AccountStore.checkHost(before: before, after: after)
    try await perform { [self] client, state throws(Failure) in
      try checkEpoch(client)
      let old = try Self.records(client, &state)
      var new = old
      let change = BSONDocument().set("revision", new.takeRevision().number)
        .set("kind", Self.hostKind).set("id", id.storable)
      if let before { change.set("before", before.storable) }
      if let after { change.set("after", after.storable) }
      try write([change], by: author, client, &state, after: old, giving: new)
    }
  }

  /// Writes changes as the next document.
  /// - Parameters:
  ///   - old: all records before the changes.
  ///   - new: all records with the changes.
  private func write(
    _ changes: [BSONDocument], by author: ChangeAuthor, _ client: MongoClient,
    _ state: inout State, after old: RecordsInMemory, giving new: RecordsInMemory
  ) throws(Failure) {
    let document = newDocument(at: old.revision.number.addingCapped(1), &state)
    document.members
      .set("author", author.name.storable)
      .set("time", author.time)
      .set("count", changes.count)
      .set("changes", changes)
    state.records = nil
    try insert(document, into: Collection.changes, client)
    state.records = new
  }

  public func keys(after id: String?, limit: Int) async throws(Failure) -> [StoredKey] {
    let limit = AccountStore.capped(limit)
    return try await perform { client, state throws(Failure) in
      let keys = try Self.records(client, &state).keys
      let rest = keys.drop { key in
        id.map { !$0.utf8.lexicographicallyPrecedes(key.id.utf8) } ?? false
      }
      return Array(rest.prefix(limit))
    }
  }

  public func accounts() async throws(Failure) -> [StoredRecord] {
    try await perform { client, state throws(Failure) in
      try Self.records(client, &state).accounts
    }
  }

  public func models() async throws(Failure) -> [StoredRecord] {
    try await perform { client, state throws(Failure) in
      try Self.records(client, &state).models
    }
  }

  public func settings() async throws(Failure) -> [StoredRecord] {
    try await perform { client, state throws(Failure) in
      try Self.records(client, &state).settings
    }
  }

  public func prices(after position: Int64, limit: Int) async throws(Failure) -> [StoredPrice] {
    let limit = AccountStore.capped(limit)
    return try await perform { client, state throws(Failure) in
      let prices = try Self.records(client, &state).prices
      return Array(prices.drop { $0.position <= position }.prefix(limit))
    }
  }

  // MARK: - Documents

  /// Returns all records. Reads them from the database unless the state in memory is known to be
  /// current.
  private static func records(
    _ client: MongoClient, _ state: inout State
  ) throws(Failure) -> RecordsInMemory {
    if let records = state.records { return records }
    var records = RecordsInMemory()
    let changes = client.collection(Collection.changes)
    while true {
      let later = BSONDocument().set("$gt", records.revision.number)
      let options = BSONDocument().set("sort", BSONDocument().set("_id", 1))
        .set("limit", documentsPerPage)
      let page = try changes.find(BSONDocument().set("_id", later), options: options) { view in
        readChanges(view)
      }
      for document in page {
        let (first, changes) = try document.get()
        guard first == records.revision.number.addingCapped(1) else {
          throw damaged(records.revision.number.addingCapped(1), "is missing")
        }
        for change in changes {
          if let change { _ = records.make(change) } else { records.takeRevision() }
        }
      }
      if page.count < documentsPerPage { break }
    }
    state.records = records
    return records
  }

  static func damaged(_ revision: Int64, _ fault: String) -> Failure {
    Failure(
      .storeDamaged,
      "Change \(revision) of the records \(fault); restore the database from a copy.")
  }

  private static func document(
    _ change: RecordChange, before: String?, _ revision: RecordRevision, pricePosition: Int
  ) -> BSONDocument {
    let document = BSONDocument().set("revision", revision.number)
    if let subject = change.target?.subject {
      let table = RecordTable(subject)
      document.set("kind", table.kind).set("id", table.id).set("names", table.names)
    } else {
      document.set("kind", "price").set("id", "\(pricePosition)")
    }
    if let before { document.set("before", before) }
    if let after = change.json { document.set("after", after) }
    if let mac = change.mac { document.set("mac", mac.hexadecimal) }
    return document
  }

  /// Changes of one document. `nil` stands for a change of a host, because this store has no
  /// records of hosts.
  private typealias Changes = (first: Int64, changes: [RecordChange?])

  private static func readChanges(_ view: BSONView) -> Result<Changes, Failure> {
    guard let first = view.number("_id"), let count = view.number("count") else {
      return .failure(damaged(view.number("_id") ?? 0, "lacks a member"))
    }
    var changes: [RecordChange?] = []
    while Int64(changes.count) < count {
      let path = "changes.\(changes.count)"
      if view.text("\(path).kind") == hostKind {
        changes.append(nil)
        continue
      }
      guard let change = readChange(view, path) else {
        return .failure(damaged(first.addingCapped(Int64(changes.count)), "cannot be read"))
      }
      changes.append(change)
    }
    return .success((first, changes))
  }

  private static func readChange(_ view: BSONView, _ path: String) -> RecordChange? {
    guard let kind = view.text("\(path).kind") else { return nil }
    let after = view.text("\(path).after")
    if kind == "price" { return after.map { .appendPrice(json: $0) } }
    guard let name = view.text("\(path).names.0") else { return nil }
    let subject: RecordSubject
    switch kind {
    case "key": subject = .key(name)
    case "organisation": subject = .organisation(name)
    case "setting": subject = .setting(name)
    case "model": subject = .model(name)
    case "team":
      guard let team = view.text("\(path).names.1") else { return nil }
      subject = .team(team, organisation: name)
    default: return nil
    }
    guard let after else { return .remove(subject, .any) }
    switch subject {
    case .key(let id):
      guard let mac = view.text("\(path).mac").flatMap([UInt8].init(hexadecimal:)) else {
        return nil
      }
      return .saveKey(id, mac: mac, json: after, .any)
    case .organisation(let name): return .saveOrganisation(name, json: after, .any)
    case .team(let name, let organisation):
      return .saveTeam(name, organisation: organisation, json: after, .any)
    case .setting(let name): return .saveSetting(name, json: after, .any)
    case .model(let name): return .saveModel(name, json: after, .any)
    }
  }
}

extension [UInt8] {
  /// The bytes as hexadecimal text: two lower-case digits per byte.
  var hexadecimal: String {
    map { byte in
      let digits = String(byte, radix: 16)
      return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined()
  }

  /// - Returns: `nil` if the text is not an even number of hexadecimal digits.
  init?(hexadecimal text: String) {
    let digits = text.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count == text.utf8.count, digits.count.isMultiple(of: 2) else { return nil }
    self = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(clamping: digits[$0] * 16 + digits[$0 + 1])
    }
  }
}
