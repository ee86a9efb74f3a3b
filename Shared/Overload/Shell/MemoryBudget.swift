public import ClusterModel
public import Limits
import Metrics
import OverloadCore
import Synchronization

/// Memory budget of one process for all data that it holds for clients and hosts.
public final class MemoryBudget: Sendable {
  private struct State {
    var ledger: MemoryLedger
    var ends: [MemoryLedger.AccountID: @Sendable (Failure) -> Void] = [:]
  }

  private let state: Mutex<State>
  private let limit: Limit
  private let gauge = Gauge(label: "tutti_memory_held_bytes")

  /// - Parameter bytes: the configured limit.
  public init(_ bytes: Int = Limits.processMemory.value) {
    limit = Limits.processMemory.with(bytes)
    state = Mutex(State(ledger: MemoryLedger(limit)))
  }

  public var held: Int { state.withLock { $0.ledger.held } }

  /// Opens an account for a body, an answer or a plan.
  public func account() -> MemoryAccount {
    MemoryAccount(state.withLock { $0.ledger.open(.work) }, self)
  }

  /// Opens an account for bytes that a client has not read.
  /// - Parameter end: ends the client's stream. It is called if the charge of another account uses
  ///   up the budget and this account is the largest unread one.
  public func unreadAccount(end: @escaping @Sendable (Failure) -> Void) -> MemoryAccount {
    let id = state.withLock { state in
      let id = state.ledger.open(.unread)
      state.ends[id] = end
      return id
    }
    return MemoryAccount(id, self)
  }

  /// Charges bytes to an account.
  /// - Returns: whether the bytes are granted, and a function that ends another stream to make
  ///   room. The caller calls the function after it has released all locks. `nil` means that no
  ///   other stream must end.
  fileprivate func charge(
    _ bytes: Int, to id: MemoryLedger.AccountID
  ) -> (isGranted: Bool, end: (@Sendable () -> Void)?) {
    let (verdict, end) = state.withLock { state in
      let verdict = state.ledger.charge(bytes, to: id)
      // The value is recorded under the lock, so that an older value never overwrites a newer one.
      gauge.record(state.ledger.held)
      return (verdict, verdict.ended.flatMap { state.ends.removeValue(forKey: $0) })
    }
    if verdict.ended != nil { Counter(label: "tutti_memory_ended_total").increment() }
    if !verdict.isGranted { Counter(label: "tutti_memory_refused_total").increment() }
    // If the stream to end is the caller's own, the caller ends it.
    guard let end, verdict.ended != id else { return (verdict.isGranted, nil) }
    return (verdict.isGranted, { @Sendable [self] in end(largestUnread) })
  }

  /// The error sent to the client whose stream is ended.
  public var largestUnread: Failure {
    Failure(
      .slowReader,
      "the answer was read too slowly: at most \(limit.value) bytes are held for all clients "
        + "(limit \(limit.name)), and this answer had the most unread bytes",
      retryAfter: .seconds(1))
  }

  fileprivate func release(_ bytes: Int, of id: MemoryLedger.AccountID) {
    state.withLock { state in
      state.ledger.release(bytes, of: id)
      gauge.record(state.ledger.held)
    }
  }

  fileprivate func close(_ id: MemoryLedger.AccountID) {
    state.withLock { state in
      state.ledger.close(id)
      state.ends[id] = nil
      gauge.record(state.ledger.held)
    }
  }

  /// The error sent to a client whose request does not fit.
  public var overloaded: Failure {
    Failure(
      .overloaded,
      "the gateway's memory for clients is used up (\(limit.value) bytes, limit \(limit.name)); "
        + "try again in a moment", retryAfter: .seconds(1))
  }
}

/// Memory that the budget grants to one holder. All of it is released on deinitialization.
public final class MemoryAccount: Sendable {
  /// Charges are multiples of this number of bytes, so that most small changes do not reach the
  /// budget.
  private static let step = 16 << 10

  private struct Sizes {
    var used = 0
    var granted = 0
  }

  private let id: MemoryLedger.AccountID
  private let budget: MemoryBudget
  private let sizes = Mutex(Sizes())

  fileprivate init(_ id: MemoryLedger.AccountID, _ budget: MemoryBudget) {
    self.id = id
    self.budget = budget
  }

  deinit { budget.close(id) }

  /// Sets the number of bytes held now. Must not be called under a lock that the end of another
  /// stream could need.
  /// - Returns: `false` if the budget refuses the bytes. The number then stays as it was.
  public func set(_ bytes: Int) -> Bool { settle { $0 = bytes } }

  /// Adds to the number of bytes held. Must not be called under a lock that the end of another
  /// stream could need.
  /// - Returns: `false` if the budget refuses the bytes. The number then stays as it was.
  public func add(_ bytes: Int) -> Bool { settle { $0 = max(0, $0.addingCapped(bytes)) } }

  private func settle(_ change: (inout Int) -> Void) -> Bool {
    let (isGranted, end) = sizes.withLock { sizes -> (Bool, (@Sendable () -> Void)?) in
      let before = sizes.used
      change(&sizes.used)
      if sizes.used > sizes.granted {
        let missing = sizes.used - sizes.granted
        let requested = missing.addingCapped(Self.step - 1) / Self.step * Self.step
        let (isGranted, end) = budget.charge(requested, to: id)
        if isGranted { sizes.granted += requested } else { sizes.used = before }
        return (isGranted, end)
      }
      if sizes.granted - sizes.used >= 2 * Self.step {
        let surplus = (sizes.granted - sizes.used) / Self.step * Self.step
        budget.release(surplus, of: id)
        sizes.granted -= surplus
      }
      return (true, nil)
    }
    end?()
    return isGranted
  }
}
