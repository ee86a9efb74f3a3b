import Access
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import Money
import NIOCore
import Overload
import RegistryCore
import ServiceKit
import Store

/// Routes of transfers, and of the ledger's transactions, balances, export and proof.
extension AccountAPI {
  /// Age in milliseconds of the balances that the audit compares. It keeps writes during the audit
  /// out of the comparison.
  private static let auditDelay: Int64 = 10_000

  func addLedger(to router: Router<BasicRequestContext>) {
    change(router, .post, "/admin/v1/transfers") { request, _, author in
      let fields: TransferFields = try await decode(request)
      var rng = SystemRandomNumberGenerator()
      let id = fields.id ?? "\(TraceID.random(using: &rng))"
      do throws(AccountShell.OrderError) {
        let isRepeated = try await accounts.transfer(
          AdminTransfer(id: id, kind: fields.kind, author: author, note: fields.note))
        return json(TransferJSON(id: id, isRepeated: isRepeated), isRepeated ? .ok : .created)
      } catch {
        throw AdminFailure(error, isNew: false)
      }
    }
    readStore(router, "/admin/v1/ledger") { request in
      let page = try await accounts.store.transactions(
        try query(request), matching: try filter(request))
      return json(
        CursorPage(
          data: page.rows.map { TransactionJSON($0) }, next: page.next.map(Self.text)))
    }
    readStore(router, "/admin/v1/ledger/balances") { request in
      let limit = try request.number("limit", in: 1...Limits.ledgerPage.value, or: 100)
      let found = try await accounts.store.balances(
        at: try request.time("at_ms"), after: request.text("after").map { AccountID($0) },
        limit: limit)
      return json(Page(data: found.map { BalanceJSON($0) }, hasMore: found.count == limit))
    }
    readStore(router, "/admin/v1/ledger/balance") { request in
      guard let account = request.text("account") else { throw AdminFailure(missing: "account") }
      let balance = try await accounts.store.balance(
        of: AccountID(account), at: try request.time("at_ms"))
      return json(BalanceJSON(AccountBalance(account: AccountID(account), balance: balance)))
    }
    router.get("/admin/v1/ledger/export") { request, _ in
      await answer { try export(request, by: try await authorise(request, .read)) }
    }
    read(router, "/admin/v1/ledger/verify") { _, _ in
      let turn = try await proofs.enter(for: 0)
      defer { withExtendedLifetime(turn) {} }
      let audit = try await accounts.store.audit(until: wall() - Self.auditDelay)
      return json(
        VerificationJSON(
          transactions: audit.transactionCount, differences: audit.differences.map(\.description)))
    }
  }

  // MARK: - Queries

  private func query(_ request: Request) throws -> LedgerQuery {
    let order: LedgerQuery.Order
    switch request.text("order") {
    case nil, "desc": order = .latestFirst
    case "asc": order = .oldestFirst
    default: throw AdminFailure(invalid: "order must be asc or desc.", param: "order")
    }
    return LedgerQuery(
      account: request.text("account").map { AccountID($0) },
      times: try request.timeRange, order: order, after: try cursor(request),
      limit: try request.number("limit", in: 1...Limits.ledgerPage.value, or: 100))
  }

  private func filter(_ request: Request) throws -> LedgerFilter {
    func value<Value>(
      _ name: String, _ form: String, _ parse: (String) -> Value?
    ) throws -> Value? {
      guard let text = request.text(name) else { return nil }
      guard let value = parse(text) else {
        throw AdminFailure(invalid: "\(name) must be \(form).", param: name)
      }
      return value
    }
    let kinds = LedgerTransaction.Kind.allCases.map(\.rawValue).joined(separator: ", ")
    return LedgerFilter(
      kind: try value("kind", "one of \(kinds)") { LedgerTransaction.Kind(rawValue: $0) },
      key: try value("key", "the id of a key") { Self.keyID($0).flatMap { KeyID($0) } },
      trace: try value("trace", "32 hexadecimal digits") { TraceID($0) })
  }

  /// Parses a cursor, `TIME:POSITION`.
  private func cursor(_ request: Request) throws -> LedgerCursor? {
    guard let text = request.text("after") else { return nil }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, let time = Int64(parts[0]), let position = Int64(parts[1]) else {
      throw AdminFailure(
        invalid: "after must be the member next of the previous page.", param: "after")
    }
    return LedgerCursor(time: time, position: position)
  }

  private static func text(_ cursor: LedgerCursor) -> String {
    "\(cursor.time):\(cursor.position)"
  }

  // MARK: - Export

  /// Streams all transactions of a query, page by page, the oldest first.
  /// Admins take turns at the store for each page.
  private func export(_ request: Request, by author: String) throws -> Response {
    let format = request.text("format") ?? "jsonl"
    guard let writer = LedgerExport(rawValue: format) else {
      throw AdminFailure(invalid: "format must be csv or jsonl.", param: "format")
    }
    var query = try query(request)
    query.order = .oldestFirst
    query.limit = Limits.ledgerPage.value
    let filter = try filter(request)
    let store = accounts.store
    let page: @Sendable (LedgerQuery) async throws -> (text: String, next: LedgerCursor?) = {
      let turn = try await storeRead(author)
      defer { withExtendedLifetime(turn) {} }
      let page = try await store.transactions($0)
      let rows = page.rows.filter { filter.matches($0.transaction) }
      return (rows.map { writer.lines($0) }.joined(), page.next)
    }
    return Response(
      status: .ok, headers: [.contentType: writer.contentType],
      body: ResponseBody { [query] body in
        var query = query
        if let header = writer.header { try await body.write(ByteBuffer(string: header)) }
        while true {
          // After an error the connection ends without the last chunk, so the client notices that
          // the file is cut.
          let (text, next) = try await page(query)
          if !text.isEmpty { try await body.write(ByteBuffer(string: text)) }
          guard let next else { break }
          query.after = next
        }
        try await body.finish(nil)
      })
  }
}

/// Form of exported transactions.
enum LedgerExport: String {
  case csv, jsonl

  var contentType: String {
    switch self {
    case .csv: "text/csv; charset=utf-8; header=present"
    case .jsonl: "application/jsonl"
    }
  }

  /// First line of a file. `nil` means that the form has none.
  var header: String? {
    switch self {
    case .csv: "position,id,kind,time_ms,account,amount,note,author\r\n"
    case .jsonl: nil
    }
  }

  /// Lines of a transaction: one line per entry in CSV, or one line per transaction in JSON lines.
  func lines(_ row: LedgerRow) -> String {
    switch self {
    case .csv:
      let note = TransferNote(of: row.transaction)
      return row.transaction.entries.map { entry in
        [
          "\(row.position)", Self.field(row.transaction.id), row.transaction.kind.rawValue,
          "\(row.transaction.time)", Self.field(entry.account.name), entry.amount.credits,
          Self.field(note.remark), Self.field(note.author ?? ""),
        ].joined(separator: ",") + "\r\n"
      }.joined()
    case .jsonl:
      return String(decoding: TransactionJSON(row).encoded, as: UTF8.self) + "\n"
    }
  }

  /// First bytes of fields that spreadsheets read as formulas.
  private static let formulas = Array("=+-@\t\r\n".utf8)

  /// Quotes a field, and keeps spreadsheets from reading it as a formula.
  static func field(_ text: String) -> String {
    // Bytes are compared, because a quote or `=` and a combining mark form one `Character`.
    let quote = UInt8(ascii: "\"")
    var field = [quote]
    if text.utf8.first.map(formulas.contains) ?? false { field.append(UInt8(ascii: "'")) }
    for byte in text.utf8 {
      field.append(byte)
      if byte == quote { field.append(quote) }
    }
    return String(decoding: field + [quote], as: UTF8.self)
  }
}

// MARK: - Answers

struct TransferJSON: Encodable {
  let object = "transfer"
  let id: String
  /// Whether the same transfer was made before.
  let isRepeated: Bool

  init(id: String, isRepeated: Bool) {
    self.id = id
    self.isRepeated = isRepeated
  }

  enum CodingKeys: String, CodingKey {
    case object, id
    case isRepeated = "repeated"
  }
}

struct TransactionJSON: Encodable {
  struct Entry: Encodable {
    let account: String
    let amount: CreditsText
  }

  let object = "transaction"
  let position: Int64
  let id: String
  let kind: LedgerTransaction.Kind
  let time: Int64
  let entries: [Entry]
  let note: String
  /// The admin who made a transfer. `nil` means that the transaction is no transfer, or that an
  /// earlier version made it.
  let author: String?

  init(_ row: LedgerRow) {
    position = row.position
    id = row.transaction.id
    kind = row.transaction.kind
    time = row.transaction.time
    entries = row.transaction.entries.map {
      Entry(account: $0.account.name, amount: CreditsText($0.amount))
    }
    let note = TransferNote(of: row.transaction)
    self.note = note.remark
    author = note.author
  }

  /// JSON on one line.
  var encoded: [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Encoding cannot fail, because strings and integers always have a JSON form.
    return (try? encoder.encode(self)).map { Array($0) } ?? []
  }

  enum CodingKeys: String, CodingKey {
    case object, position, id, kind, entries, note, author
    case time = "time_ms"
  }
}

struct BalanceJSON: Encodable {
  let object = "balance"
  let account: String
  let balance: CreditsText

  init(_ balance: AccountBalance) {
    account = balance.account.name
    self.balance = CreditsText(balance.balance)
  }
}

struct VerificationJSON: Encodable {
  let object = "verification"
  let transactions: Int
  /// Differences that the proof found, one sentence each. Empty if the ledger is correct.
  let differences: [String]
  let isCorrect: Bool

  init(transactions: Int, differences: [String]) {
    self.transactions = transactions
    self.differences = differences
    isCorrect = differences.isEmpty
  }

  enum CodingKeys: String, CodingKey {
    case object, transactions, differences
    case isCorrect = "correct"
  }
}
