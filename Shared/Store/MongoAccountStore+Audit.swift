public import ClusterModel
internal import Limits

/// The audit log. Each document has the changes of one list, which share their author and time.
extension MongoAccountStore {
  /// Maximum documents of one read.
  private static let documentsPerRead = 256

  public func auditPage(_ query: AuditQuery) async throws(Failure) -> AuditPage {
    let limit = AccountStore.capped(query.limit)
    return try await read { client throws(Failure) in
      let collection = client.collection(Collection.changes)
      var found: [AuditRecord] = []
      var before = query.before ?? .max
      var unread = query.scan
      // The first documents often fill the page. A document may have some 100 KB.
      var most = min(limit + 1, Self.documentsPerRead)
      while unread > 0 {
        let count = min(unread, most)
        most = Self.documentsPerRead
        // The document after these shows whether the list continues.
        let options = BSONDocument().set("sort", BSONDocument().set("_id", -1))
          .set("limit", count + 1)
        let documents = try collection.find(Self.place(of: query, before: before), options: options)
        { view in Self.changes(view, before: query.before ?? .max) }
        for document in documents.prefix(count) {
          let (place, records) = try document.get()
          found += records.filter(query.selects)
          guard found.count <= limit else {
            return AuditPage(records: Array(found.prefix(limit)), next: found[limit - 1].position)
          }
          before = place
        }
        guard documents.count > count else { return AuditPage(records: found, next: nil) }
        unread -= count
      }
      return AuditPage(records: found, next: before)
    }
  }

  /// Filter for the documents that are read. An index serves it.
  private static func place(of query: AuditQuery, before: Int64) -> BSONDocument {
    let filter = BSONDocument().set("_id", BSONDocument().set("$lt", before))
    guard let (column, value) = query.indexed else { return filter }
    return switch column {
    case .id, .kind: filter.set("changes.\(column.rawValue)", value)
    case .author: filter.set("author", value)
    }
  }

  /// The place of a document, and its changes before a position, the latest first.
  ///
  /// A damaged document is a failure. If it were left out, the list could end at it, and a removal
  /// could be overlooked.
  private static func changes(
    _ view: BSONView, before: Int64
  ) -> Result<(place: Int64, records: [AuditRecord]), Failure> {
    guard let place = view.number("_id"), let time = view.number("time"),
      let count = view.number("count")
    else { return .failure(damaged(view.number("_id") ?? 0, "lacks a member")) }
    let author = ChangeAuthor(name: view.text("author") ?? "", time: time)
    var records: [AuditRecord] = []
    var number: Int64 = 0
    while number < count {
      let change = "changes.\(number)."
      guard let position = view.number(change + "revision"), let kind = view.text(change + "kind"),
        let id = view.text(change + "id")
      else { return .failure(damaged(place.addingCapped(number), "cannot be read")) }
      if position < before {
        records.append(
          AuditRecord(
            position: position, author: author, kind: kind, id: id,
            before: view.text(change + "before"), after: view.text(change + "after")))
      }
      number += 1
    }
    return .success((place: place, records: records.reversed()))
  }
}
