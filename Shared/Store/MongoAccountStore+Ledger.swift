public import ClusterModel
internal import Limits
public import Money

/// The ledger. Each document has the transactions of one append. If their names and notes do not
/// fit, the append makes several documents.
extension MongoAccountStore {
  /// Maximum estimated bytes of a document. It is less than half of MongoDB's limit of 16 MiB, so
  /// that a document of twice the estimate still fits.
  private static let documentBytes = 6 << 20

  public func append(
    _ transactions: [LedgerTransaction], after position: Int64?
  ) async throws(Failure) -> [LedgerAppend] {
    try await perform { [self] client, state throws(Failure) in
      try checkEpoch(client)
      let ledger = client.collection(Collection.ledger)
      // The ledger's last position is read if it is unknown, for example after a write without an
      // answer.
      let end = if let end = state.end { end } else { try Self.end(of: ledger) }
      guard end == position ?? end else {
        throw .ledgerChanged(end: end, known: position ?? end)
      }
      let present = try Self.rows(of: transactions.map(\.id), in: ledger)
      var known = Dictionary(present.map { ($0.transaction.id, $0) }) { first, _ in first }
      var results: [LedgerAppend] = []
      var new: [LedgerRow] = []
      for transaction in transactions {
        if let refusal = AccountStore.refusal(of: transaction) {
          results.append(.refused(refusal))
        } else if let present = known[transaction.id] {
          let isSame =
            present.transaction.kind == transaction.kind
            && present.transaction.entries == transaction.entries
          results.append(
            isSame
              ? .alreadyPresent(position: present.position)
              : .conflict(position: present.position))
        } else {
          let row = LedgerRow(
            position: end.addingCapped(Int64(new.count) + 1), transaction: transaction)
          known[transaction.id] = row
          new.append(row)
          results.append(.appended(position: row.position))
        }
      }
      state.end = nil
      for batch in Self.batches(of: new) {
        let document = newDocument(at: batch.first?.position ?? 0, &state)
        Self.add(batch, to: document.members)
        try insert(document, into: Collection.ledger, client)
      }
      state.end = new.last?.position ?? end
      return results
    }
  }

  /// Divides rows into documents. Normally there is one document.
  private static func batches(of rows: [LedgerRow]) -> [[LedgerRow]] {
    var batches: [[LedgerRow]] = []
    var bytes = 0
    for row in rows {
      let size = row.transaction.entries.reduce(
        2 * row.transaction.id.utf8.count + row.transaction.note.utf8.count + 200
      ) { $0 + 2 * $1.account.name.utf8.count + 100 }
      bytes += size
      if !batches.isEmpty, bytes <= documentBytes {
        batches[batches.count - 1].append(row)
      } else {
        batches.append([row])
        bytes = size
      }
    }
    return batches
  }

  private static func end(of ledger: MongoCollection) throws(Failure) -> Int64 {
    let ends = try ledger.find(BSONDocument(), options: lastDocument) { view -> Int64? in
      guard let first = view.number("_id"), let count = view.number("count") else { return nil }
      return first.addingCapped(count - 1)
    }
    return ends.first ?? 0
  }

  private static func rows(
    of ids: [String], in ledger: MongoCollection
  ) throws(Failure) -> [LedgerRow] {
    let ids = BSONDocument().set("$in", ids.map(\.storable))
    return try rows(
      ledger,
      [
        stage("$match", BSONDocument().set("ids", ids)), unwound,
        stage("$match", BSONDocument().set("transactions.id", ids)),
      ])
  }

  public func transactions(
    after position: Int64, limit: Int
  ) async throws(Failure) -> [LedgerRow] {
    let limit = AccountStore.capped(limit)
    return try await perform { client, state throws(Failure) in
      let ledger = client.collection(Collection.ledger)
      var rows = try Self.rows(ledger, after: position, limit: limit)
      if rows.isEmpty {
        let end = try Self.end(of: ledger)
        // A late write may have arrived between the two reads.
        if end > position { rows = try Self.rows(ledger, after: position, limit: limit) }
        guard end <= position || !rows.isEmpty else {
          throw Self.missing(position.addingCapped(1))
        }
        // The reader now knows the whole ledger. A write with an unknown outcome may still arrive
        // later. It then takes the position of the next write, and the next write is refused.
        if end == position { state.end = end }
      }
      var expected = position
      for row in rows {
        expected = expected.addingCapped(1)
        guard row.position == expected else { throw Self.missing(expected) }
      }
      return rows
    }
  }

  private static func rows(
    _ ledger: MongoCollection, after position: Int64, limit: Int
  ) throws(Failure) -> [LedgerRow] {
    let atMost = BSONDocument().set("$lte", max(0, position).addingCapped(1))
    let first = try ledger.find(BSONDocument().set("_id", atMost), options: lastDocument) {
      $0.number("_id")
    }
    let later = BSONDocument().set("$gt", position)
    return try rows(
      ledger,
      [
        stage("$match", BSONDocument().set("_id", BSONDocument().set("$gte", first.first ?? 0))),
        stage("$sort", BSONDocument().set("_id", 1)), unwound,
        stage("$match", BSONDocument().set("transactions.position", later)),
        stage("$limit", limit),
      ])
  }

  public func transaction(_ id: String) async throws(Failure) -> LedgerTransaction? {
    try await perform { client, _ throws(Failure) in
      try Self.rows(of: [id], in: client.collection(Collection.ledger)).first?.transaction
    }
  }

  public func transactions(_ query: LedgerQuery) async throws(Failure) -> LedgerPage {
    let limit = AccountStore.capped(query.limit)
    return try await read { client throws(Failure) in
      let isUp = query.order == .oldestFirst
      var stages: [BSONDocument] = []
      if let account = query.account {
        stages.append(
          Self.stage("$match", BSONDocument().set("accounts", account.name.storable)))
      }
      let times = BSONDocument().set("$gte", query.times.lowerBound)
        .set("$lt", query.times.upperBound)
      let filter = BSONDocument().set("transactions.time", times)
      if let account = query.account {
        filter.set("transactions.entries.account", account.name.storable)
      }
      stages += [Self.unwound, Self.stage("$match", filter)]
      if let after = query.after {
        let comparison = isUp ? "$gt" : "$lt"
        stages.append(
          Self.stage(
            "$match",
            BSONDocument().set(
              "$or",
              [
                BSONDocument().set(
                  "transactions.time", BSONDocument().set(comparison, after.time)),
                BSONDocument().set("transactions.time", after.time)
                  .set(
                    "transactions.position", BSONDocument().set(comparison, after.position)),
              ])))
      }
      let direction = isUp ? 1 : -1
      stages += [
        Self.stage(
          "$sort",
          BSONDocument().set("transactions.time", direction)
            .set("transactions.position", direction)),
        Self.stage("$limit", limit),
      ]
      let rows = try Self.rows(client.collection(Collection.ledger), stages)
      let last = rows.last.map {
        LedgerCursor(time: $0.transaction.time, position: $0.position)
      }
      return LedgerPage(rows: rows, next: rows.count == limit ? last : nil)
    }
  }

  public func balance(
    of account: AccountID, at time: Int64?
  ) async throws(Failure) -> MicroCredits {
    let name = account.name.storable
    return try await read { client throws(Failure) in
      let balances = try Self.balances(
        client, at: time, of: BSONDocument().set("accounts", name),
        entries: BSONDocument().set("transactions.entries.account", name), limit: 1)
      return balances.first?.balance ?? .zero
    }
  }

  public func balances(
    at time: Int64?, after account: AccountID?, limit: Int
  ) async throws(Failure) -> [AccountBalance] {
    let limit = AccountStore.capped(limit)
    let after = account?.name.storable ?? ""
    return try await read { client throws(Failure) in
      try Self.balances(
        client, at: time, of: BSONDocument(),
        entries: BSONDocument().set(
          "transactions.entries.account", BSONDocument().set("$gt", after)),
        limit: limit)
    }
  }

  /// Sums the entries of each account.
  ///
  /// - Parameters:
  ///   - documents: filter of documents.
  ///   - entries: filter of entries.
  private static func balances(
    _ client: MongoClient, at time: Int64?, of documents: BSONDocument, entries: BSONDocument,
    limit: Int
  ) throws(Failure) -> [AccountBalance] {
    let until = BSONDocument().set("$lte", time ?? .max)
    return try client.collection(Collection.ledger).aggregate([
      stage("$match", documents), unwound,
      stage("$match", BSONDocument().set("transactions.time", until)),
      BSONDocument().set("$unwind", "$transactions.entries"), stage("$match", entries),
      stage(
        "$group",
        BSONDocument().set("_id", "$transactions.entries.account")
          .set("balance", BSONDocument().set("$sum", "$transactions.entries.amount"))),
      stage("$sort", BSONDocument().set("_id", 1)), stage("$limit", limit),
    ]) { view in
      guard let name = view.text("_id"), let balance = view.number("balance") else { return nil }
      return AccountBalance(account: AccountID(name), balance: MicroCredits(balance))
    }
  }

  // MARK: - Documents

  private static func stage(_ name: String, _ value: BSONDocument) -> BSONDocument {
    BSONDocument().set(name, value)
  }

  private static func stage(_ name: String, _ value: Int) -> BSONDocument {
    BSONDocument().set(name, value)
  }

  /// Stage that makes one document per transaction.
  private static var unwound: BSONDocument { BSONDocument().set("$unwind", "$transactions") }

  private static func rows(
    _ ledger: MongoCollection, _ stages: [BSONDocument]
  ) throws(Failure) -> [LedgerRow] {
    let read = try ledger.aggregate(stages) { view in readRow(view) }
    var rows: [LedgerRow] = []
    for row in read { rows.append(try row.get()) }
    return rows
  }

  private static func missing(_ position: Int64) -> Failure {
    Failure(
      .storeDamaged,
      "The ledger has no transaction at position \(position); restore the database from a copy.")
  }

  private static func add(_ rows: [LedgerRow], to document: BSONDocument) {
    let names = Set(rows.flatMap { $0.transaction.entries.map(\.account.name) })
    document
      .set("count", rows.count)
      .set("ids", rows.map(\.transaction.id))
      .set("accounts", names.sorted())
      .set("transactions", rows.map(transactionDocument))
  }

  private static func transactionDocument(_ row: LedgerRow) -> BSONDocument {
    BSONDocument()
      .set("position", row.position)
      .set("id", row.transaction.id)
      .set("kind", row.transaction.kind.rawValue)
      .set("time", row.transaction.time)
      .set("note", row.transaction.note.storable)
      .set("count", row.transaction.entries.count)
      .set(
        "entries",
        row.transaction.entries.map { entry in
          BSONDocument().set("account", entry.account.name).set("amount", entry.amount.count)
        })
  }

  /// Reads the transaction of a document that `$unwind` made.
  private static func readRow(_ view: BSONView) -> Result<LedgerRow, Failure> {
    let position = view.number("transactions.position") ?? 0
    let id = view.text("transactions.id") ?? ""
    func damaged(_ fault: String) -> Result<LedgerRow, Failure> {
      .failure(
        Failure(
          .storeDamaged,
          "Transaction \(id.cut(toBytes: 100)) at position \(position) of the ledger \(fault); "
            + "restore the database from a copy."))
    }
    guard let kind = view.text("transactions.kind").flatMap(LedgerTransaction.Kind.init(rawValue:))
    else { return damaged("has an unknown kind") }
    guard let time = view.number("transactions.time"),
      let count = view.number("transactions.count")
    else { return damaged("lacks a member") }
    var entries: [LedgerEntry] = []
    while let name = view.text("transactions.entries.\(entries.count).account"),
      let amount = view.number("transactions.entries.\(entries.count).amount")
    {
      entries.append(LedgerEntry(account: AccountID(name), amount: MicroCredits(amount)))
    }
    guard Int64(entries.count) == count else {
      return damaged("has \(entries.count) of \(count) entries")
    }
    do throws(MoneyError) {
      return .success(
        LedgerRow(
          position: position,
          transaction: try LedgerTransaction(
            id: id, kind: kind, time: time, entries: entries,
            note: view.text("transactions.note") ?? "")))
    } catch {
      return damaged("does not sum to zero")
    }
  }
}
