import Access
public import ClusterModel
import Money
import Text

/// A movement of credits by `tutti ledger credit`, `debit`, `payout` and `correct`.
public struct TransferOptions: Sendable {
  public enum Kind: Hashable, Sendable {
    case credit(organisation: String)
    case debit(organisation: String)
    case payout(host: String)
    /// Moves credits from one account of the ledger to another.
    case correction(from: String, to: String)

    /// Name of the kind in the admin API.
    fileprivate var name: String {
      switch self {
      case .credit: "credit"
      case .debit: "debit"
      case .payout: "payout"
      case .correction: "correction"
      }
    }
  }

  let kind: Kind
  let amount: String
  /// Id of the transfer. The registry makes only the first of several transfers with the same id.
  public let id: String
  var note: String?

  public init(_ kind: Kind, amount: String, id: String, note: String?) {
    self.kind = kind
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
    mistakes += kindMistakes
    if id.isEmpty || id.utf8.count > 128 || !id.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
      mistakes.append("--id: an id has 1 to 128 printable characters without spaces")
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    var body = members(credits)
    body["id"] = .text(id)
    body["kind"] = .text(kind.name)
    if let note { body["note"] = .text(note) }
    return .object(body)
  }

  private var kindMistakes: [String] {
    var mistakes: [String] = []
    do throws(ProcessFailure) {
      switch kind {
      case .credit(let organisation), .debit(let organisation):
        _ = try AccountArgument.organisation(organisation)
      case .payout: break
      case .correction(let source, let target):
        if source == target { mistakes.append("both accounts are the same") }
        try LedgerSelection.check(account: source)
        try LedgerSelection.check(account: target)
      }
    } catch {
      mistakes.append(error.message)
    }
    return mistakes
  }

  /// The members that depend on the kind.
  private func members(_ credits: MicroCredits) -> [String: RecordValue] {
    func entry(_ account: String, _ sign: String) -> RecordValue {
      .object(["account": .text(account), "amount": .text(sign + credits.credits)])
    }
    switch kind {
    case .credit(let organisation), .debit(let organisation):
      return ["amount": .text(credits.credits), "organisation": .text(organisation)]
    case .payout(let host): return ["amount": .text(credits.credits), "host": .text(host)]
    case .correction(let source, let target):
      return ["entries": .list([entry(source, "-"), entry(target, "")])]
    }
  }

  /// The transfer in a few words.
  public var summary: String {
    switch kind {
    case .credit(let party), .debit(let party), .payout(let party):
      "\(kind.name) of \(amount) credits: \(party)"
    case .correction(let source, let target):
      "correction of \(amount) credits: from \(source) to \(target)"
    }
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
  public var kind: String?
  public var key: String?
  public var trace: String?
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
    if let kind { parts.append("kind=" + PathText.escaped(kind)) }
    if let key { parts.append("key=\(try KeyReference.id(key))") }
    if let trace {
      guard let id = TraceID(trace) else {
        throw ProcessFailure(
          .usage, "--trace: “\(trace.cut(toBytes: 40))” is not 32 hexadecimal digits")
      }
      parts.append("trace=\(id)")
    }
    if let from {
      parts.append("from_ms=\(try PointInTime.milliseconds(from, option: "from"))")
    }
    if let until { parts.append("to_ms=\(try PointInTime.milliseconds(until, option: "to"))") }
    return parts.joined(separator: "&")
  }
}
