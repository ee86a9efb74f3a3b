import Access
public import ClusterModel
import Money
import Text

/// A movement of credits by `tutti ledger credit`, `debit` and `payout`.
public struct TransferOptions: Sendable {
  public enum Kind: String, Sendable {
    case credit, debit, payout

    /// Name of the member that names the party.
    fileprivate var party: String { self == .payout ? "host" : "organisation" }
  }

  let kind: Kind
  /// An organisation, or a host for a payout.
  let party: String
  let amount: String
  /// Id of the transfer. The registry makes only the first of several transfers with the same id.
  public let id: String
  var note: String?

  public init(_ kind: Kind, _ party: String, amount: String, id: String, note: String?) {
    self.kind = kind
    self.party = party
    self.amount = amount
    self.id = id
    self.note = note
  }

  /// The body of the request.
  ///
  /// - Throws: all mistakes at once, one per line.
  public func body() throws(ProcessFailure) -> RecordValue {
    var mistakes: [String] = []
    var credits = MicroCredits.zero
    do throws(AmountTextError) {
      credits = try MicroCredits(credits: amount)
      if credits == .zero { mistakes.append("the amount must be above zero") }
    } catch {
      mistakes.append("the amount “\(amount.cut(toBytes: 40))” is not right: \(error)")
    }
    if kind != .payout {
      do throws(ProcessFailure) {
        _ = try AccountArgument.organisation(party)
      } catch {
        mistakes.append(error.message)
      }
    }
    if id.isEmpty || id.utf8.count > 128 || !id.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
      mistakes.append("--id: an id has 1 to 128 printable characters without spaces")
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    var body: [String: RecordValue] = [
      "id": .text(id), "kind": .text(kind.rawValue), "amount": .text(credits.credits),
      kind.party: .text(party),
    ]
    if let note { body["note"] = .text(note) }
    return .object(body)
  }

  /// Advice after a failure that does not show whether the transfer was made.
  public var retryAdvice: String {
    "if it is not sure that the transfer was made, repeat the command with --id \(id): it is made "
      + "only once"
  }
}

/// Transactions that `tutti ledger list` and `export` select.
public struct LedgerSelection: Sendable {
  public var account: String?
  public var from: String?
  public var until: String?

  public init() {}

  /// Refuses a name that no account can have, because the registry reports 0 for such a name.
  public static func check(account: String) throws(ProcessFailure) {
    guard AccountID(account).kind == nil else { return }
    let isOrganisation = AccountPath(account).map { $0.team == nil } ?? false
    let advice =
      isOrganisation
      ? "did you mean org/\(account)?"
      : "choose org/ID, holds/ID, host/ID, issued, paid or margin"
    throw ProcessFailure(
      .usage, "“\(account.cut(toBytes: 40))” is no account of the ledger; \(advice)")
  }

  /// The query of the request, without a question mark.
  public func query() throws(ProcessFailure) -> String {
    var parts: [String] = []
    if let account {
      try Self.check(account: account)
      parts.append("account=" + PathText.escaped(account))
    }
    if let from {
      parts.append("from_ms=\(try PointInTime.milliseconds(from, option: "from"))")
    }
    if let until { parts.append("to_ms=\(try PointInTime.milliseconds(until, option: "to"))") }
    return parts.joined(separator: "&")
  }
}
