internal import Limits

/// Name of an account of the ledger or of a key, for example `org/acme`, `margin` or `key/ID`.
public struct AccountID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
  public let name: String

  public init(_ name: String) { self.name = name }

  public init(from decoder: any Decoder) throws {
    name = try decoder.singleValueContainer().decode(String.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(name)
  }

  public var description: String { name }

  public static func < (left: AccountID, right: AccountID) -> Bool { left.name < right.name }
}

/// One line of a transaction: the change of one account's balance.
public struct LedgerEntry: Hashable, Codable, Sendable {
  public let account: AccountID
  public let amount: MicroCredits

  public init(account: AccountID, amount: MicroCredits) {
    self.account = account
    self.amount = amount
  }
}

/// A change of the ledger that is recorded as a whole or not at all. Its entries sum to zero.
public struct LedgerTransaction: Hashable, Codable, Sendable {
  public enum Kind: String, Codable, CaseIterable, Sendable {
    /// An admin adds credits to an organisation, or takes credits back.
    case credit
    /// Moves credits from an organisation to its holds, for a gateway's lease.
    case hold
    /// Moves the unused part of a hold back to the organisation.
    case release
    /// Bills a request from its hold, and moves the money to hosts and margin.
    case settle
    /// Records that a host was paid outside Tutti.
    case payout
    /// Corrects an earlier transaction, which is not changed.
    case correction
  }

  /// Id that the writer chooses. A second transaction with the same id counts as a repetition.
  public let id: String
  public let kind: Kind
  /// Milliseconds since 1970.
  public let time: Int64
  public let entries: [LedgerEntry]
  /// Reason for the transaction, for people. A settlement's note has key, model and tokens as one
  /// line of JSON, and a transfer's note has the admin and the remark.
  public let note: String

  /// - Throws: `MoneyError.unbalanced` if the entries do not sum to zero, `.overflow` if their sum
  ///   does not fit into 64 bits, `.oversized` if the id is empty, or a text or list is too long.
  public init(
    id: String, kind: Kind, time: Int64, entries: [LedgerEntry], note: String = ""
  ) throws(MoneyError) {
    guard (1...Limits.transactionIDBytes.value).contains(id.utf8.count),
      entries.count <= Limits.transactionEntries.value,
      note.utf8.count <= Limits.transactionNoteBytes.value
    else { throw .oversized }
    var sum = MicroCredits.zero
    for entry in entries {
      guard entry.account.name.utf8.count <= Limits.accountNameBytes.value else {
        throw .oversized
      }
      sum = try sum.adding(entry.amount)
    }
    guard sum == .zero else { throw .unbalanced }
    self.id = id
    self.kind = kind
    self.time = time
    self.entries = entries
    self.note = note
  }

  /// Decodes a transaction with the checks of `init`, so a stored sum that is not zero is an error.
  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      id: members.decode(String.self, forKey: .id),
      kind: members.decode(Kind.self, forKey: .kind),
      time: members.decode(Int64.self, forKey: .time),
      entries: members.decode([LedgerEntry].self, forKey: .entries),
      note: members.decode(String.self, forKey: .note))
  }
}
