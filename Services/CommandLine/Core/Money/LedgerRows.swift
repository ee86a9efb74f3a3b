/// A ledger transaction as the registry's admin API shows it.
public struct TransactionRow: Decodable, Hashable, Sendable {
  struct Entry: Decodable, Hashable, Sendable {
    let account: String
    let amount: String

    enum CodingKeys: CodingKey { case account, amount }
  }

  let position: Int64
  public let id: String
  let kind: String
  /// Milliseconds since 1970.
  let time: Int64
  let entries: [Entry]
  let note: String
  /// The admin who made a transfer. `nil` means that the transaction is no transfer, or that the
  /// ledger does not have the name.
  let author: String?

  enum CodingKeys: String, CodingKey {
    case position, id, kind, entries, note, author
    case time = "time_ms"
  }

  public static func table(_ rows: [TransactionRow]) -> TextTable {
    var table = TextTable([
      ("at", .right), ("time", .left), ("kind", .left), ("id", .left), ("entries", .left),
      ("by", .left), ("note", .left),
    ])
    for row in rows {
      table.append([
        "\(row.position)", KeyTime.text(row.time), row.kind, row.id,
        row.entries.map { "\($0.account) \($0.amount)" }.joined(separator: ", "),
        row.author ?? "-", row.note,
      ])
    }
    return table
  }
}

/// A balance as the registry's admin API shows it.
public struct BalanceRow: Decodable, Hashable, Sendable {
  public let account: String
  public let balance: String

  enum CodingKeys: CodingKey { case account, balance }

  public static func table(_ rows: [BalanceRow]) -> TextTable {
    var table = TextTable([("account", .left), ("balance", .right)])
    for row in rows { table.append([row.account, row.balance]) }
    return table
  }
}

/// Result of `GET /admin/v1/ledger/verify`.
public struct LedgerProof: Decodable, Hashable, Sendable {
  public let transactions: Int
  /// Each difference in one sentence.
  public let differences: [String]
  let isCorrect: Bool

  enum CodingKeys: String, CodingKey {
    case transactions, differences
    case isCorrect = "correct"
  }

  /// Whether the registry reports a correct ledger and lists no differences.
  public var holds: Bool { isCorrect && differences.isEmpty }
}
