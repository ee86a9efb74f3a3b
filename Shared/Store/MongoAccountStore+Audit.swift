public import ClusterModel

/// The audit log. Each document has the changes of one list, which share their author and time.
extension MongoAccountStore {
  public func auditPage(_ query: AuditQuery) async throws(Failure) -> AuditPage {
    let limit = AccountStore.capped(query.limit)
    return try await read { client throws(Failure) in
      let collection = client.collection(Collection.changes)
      let found = try collection.aggregate(Self.stages(of: query, limit: limit + 1)) { view in
        Self.auditRecord(view)
      }
      guard found.count <= limit else {
        return AuditPage(records: Array(found.prefix(limit)), next: found[limit - 1].position)
      }
      // If further documents exist after the last one that was read, the list continues there.
      let ends = try collection.aggregate([
        BSONDocument().set("$match", Self.place(of: query)),
        BSONDocument().set("$sort", BSONDocument().set("_id", -1)),
        BSONDocument().set("$skip", query.scan - 1), BSONDocument().set("$limit", 2),
        BSONDocument().set("$project", BSONDocument().set("_id", 1)),
      ]) { view in view.number("_id") }
      return AuditPage(records: found, next: ends.count == 2 ? ends[0] : nil)
    }
  }

  private static func auditRecord(_ view: BSONView) -> AuditRecord? {
    guard let position = view.number("changes.revision"), let time = view.number("time"),
      let kind = view.text("changes.kind"), let id = view.text("changes.id")
    else { return nil }
    return AuditRecord(
      position: position,
      author: ChangeAuthor(name: view.text("author") ?? "", time: time), kind: kind, id: id,
      before: view.text("changes.before"), after: view.text("changes.after"))
  }

  // MARK: - Stages

  /// Stages that find at most `limit` records in at most `store.audit_scan` documents.
  private static func stages(of query: AuditQuery, limit: Int) -> [BSONDocument] {
    [
      BSONDocument().set("$match", place(of: query)),
      BSONDocument().set("$sort", BSONDocument().set("_id", -1)),
      // The server never moves the filter before this limit.
      BSONDocument().set("$limit", query.scan),
      BSONDocument().set("$match", wantedDocuments(query)),
      // Each of these documents has a wanted change. In the latest document, every wanted change
      // may be too recent for this page, so one more document is read.
      BSONDocument().set("$limit", limit + 1),
      BSONDocument().set("$unwind", "$changes"),
      BSONDocument().set(
        "$match",
        wanted(query, prefix: "changes.")
          .set("changes.revision", BSONDocument().set("$lt", query.before ?? .max))),
      BSONDocument().set("$sort", BSONDocument().set("changes.revision", -1)),
      BSONDocument().set("$limit", limit),
    ]
  }

  /// Filter for the documents that are read. An index serves it.
  private static func place(of query: AuditQuery) -> BSONDocument {
    let filter = BSONDocument().set("_id", BSONDocument().set("$lt", query.before ?? .max))
    guard let (column, value) = query.indexed else { return filter }
    return switch column {
    case .id, .kind: filter.set("changes.\(column.rawValue)", value)
    case .author: filter.set("author", value)
    }
  }

  /// Filter for the documents with a wanted change.
  private static func wantedDocuments(_ query: AuditQuery) -> BSONDocument {
    let filter = BSONDocument()
    if query.kind != nil || query.id != nil || query.action != nil {
      filter.set("changes", BSONDocument().set("$elemMatch", wanted(query, prefix: "")))
    }
    if let author = query[.author] { filter.set("author", author) }
    let times = BSONDocument().set("$gte", query.times.lowerBound)
    if query.times.upperBound < .max { times.set("$lt", query.times.upperBound) }
    return filter.set("time", times)
  }

  /// Filter for the wanted changes.
  private static func wanted(_ query: AuditQuery, prefix: String) -> BSONDocument {
    let filter = BSONDocument()
    for column in [AuditQuery.Column.id, .kind] {
      if let value = query[column] { filter.set(prefix + column.rawValue, value) }
    }
    func require(_ member: String, _ exists: Bool) {
      filter.set(prefix + member, BSONDocument().set("$exists", exists))
    }
    switch query.action {
    case .create:
      require("before", false)
      require("after", true)
    case .change:
      require("before", true)
      require("after", true)
    case .remove: require("after", false)
    case nil: break
    }
    return filter
  }
}
