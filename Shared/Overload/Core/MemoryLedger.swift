public import Limits

/// Accounts for the bytes that a process holds for clients and hosts, against one budget.
///
/// At the limit the largest unread stream is ended first, because its client does not read and
/// thereby blocks a host. A charge that still does not fit is refused. An eighth of the budget is
/// reserved for small accounts, so that large bodies do not keep out other requests.
public struct MemoryLedger: Sendable {
  public struct AccountID: Hashable, Sendable {
    let number: UInt64
  }

  public enum Kind: Hashable, Sendable {
    /// Account for a request body, an answer or a plan. Its memory is released when the work ends.
    case work
    /// Account for bytes of a stream that a client has not read yet.
    case unread
  }

  public struct Verdict: Hashable, Sendable {
    /// Whether the bytes are charged.
    public var isGranted: Bool
    /// The stream to end now. Its account is already closed. `nil` means that no stream must end.
    public var ended: AccountID?

    public init(isGranted: Bool, ended: AccountID?) {
      self.isGranted = isGranted
      self.ended = ended
    }
  }

  private struct Account {
    let kind: Kind
    var bytes = 0
  }

  let limit: Limit
  /// Minimum unread bytes of a stream that may be ended. A client with fewer unread bytes probably
  /// reads, and the end of its stream would free little memory.
  private let smallestVictim: Int
  /// Maximum bytes of an account that may use the reserve. A body of `memory.heavy_bytes` with its
  /// copies and a request's floor fit.
  private static let smallAccount =
    Limits.heavyBytes.value * Limits.requestCopies.value + Limits.requestFloor.value
  private var accounts: [AccountID: Account] = [:]
  private var last: UInt64 = 0
  public private(set) var held = 0

  public init(_ limit: Limit, smallestVictim: Int = 16 << 10) {
    self.limit = limit
    self.smallestVictim = smallestVictim
  }

  public mutating func open(_ kind: Kind) -> AccountID {
    last += 1
    let id = AccountID(number: last)
    accounts[id] = Account(kind: kind)
    return id
  }

  /// Charges bytes to an account. A charge to a closed account is refused.
  public mutating func charge(_ bytes: Int, to id: AccountID) -> Verdict {
    guard let account = accounts[id] else { return Verdict(isGranted: false, ended: nil) }
    let isSmall = account.bytes.addingCapped(bytes) <= Self.smallAccount
    let limit = isSmall ? limit.value : limit.value - limit.value / 8
    var ended: AccountID?
    if held.addingCapped(bytes) > limit {
      ended = largestUnread(growing: id, by: bytes)
      if let ended { close(ended) }
    }
    guard accounts[id] != nil, held.addingCapped(bytes) <= limit else {
      return Verdict(isGranted: false, ended: ended)
    }
    accounts[id]?.bytes += bytes
    held += bytes
    return Verdict(isGranted: true, ended: ended)
  }

  private func largestUnread(growing id: AccountID, by bytes: Int) -> AccountID? {
    func size(_ entry: (key: AccountID, value: Account)) -> Int {
      entry.key == id ? entry.value.bytes.addingCapped(bytes) : entry.value.bytes
    }
    // If several accounts have the same size, the oldest one is chosen, so that the choice is
    // deterministic.
    return accounts.filter { $0.value.kind == .unread && size($0) >= smallestVictim }
      .max { (size($0), $1.key.number) < (size($1), $0.key.number) }?.key
  }

  public mutating func release(_ bytes: Int, of id: AccountID) {
    guard let account = accounts[id] else { return }
    let released = min(bytes, account.bytes)
    accounts[id]?.bytes -= released
    held -= released
  }

  /// Releases all bytes of an account. Calling it again has no effect.
  public mutating func close(_ id: AccountID) {
    guard let account = accounts.removeValue(forKey: id) else { return }
    held -= account.bytes
  }
}
