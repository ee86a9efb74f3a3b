import Bus
import BusCore
import Clocks
import ClusterModel
import GatewayCore
import Limits
import Logging
import Money
import Synchronization
import Telemetry

/// Asks the registry for the spending of keys. It is the shell around `SpendingCache`.
final class SpendingReports: Sendable {
  private static let deadline = Duration.seconds(1)

  private struct State {
    var cache = SpendingCache()
    /// Callers that wait for the answer to another caller's request.
    var waiting: [AccountID: [CheckedContinuation<SpendingCache.LookUp, Never>]] = [:]
  }

  private let bus: Bus
  private let logger: Logger
  private let clock = ProcessClock()
  private let state = Mutex(State())

  init(_ bus: Bus, logger: Logger) {
    self.bus = bus
    self.logger = logger
  }

  /// The report of a key, at most a second old.
  /// - Returns: `nil` if the registry does not answer in time or too many reports are requested, or
  ///   if the caller left.
  func report(of key: AccountID) async -> SpendingReport? {
    while true {
      switch await lookUp(key) {
      case .known(let report): return report
      case .busy: return nil
      case .ask: return await ask(key)
      // The caller that asked the registry has left, so this caller may ask.
      case .wait: continue
      }
    }
  }

  private func lookUp(_ key: AccountID) async -> SpendingCache.LookUp {
    let now = clock.now
    return await withCheckedContinuation { waiter in
      let found = state.withLock { state in
        let found = state.cache.lookUp(key, at: now)
        if found == .wait { state.waiting[key, default: []].append(waiter) }
        return found
      }
      if found != .wait { waiter.resume(returning: found) }
    }
  }

  private func ask(_ key: AccountID) async -> SpendingReport? {
    var report: SpendingReport?
    do throws(Failure) {
      // The query covers all allowed days, so that requests for different days share the answer.
      let query = SpendingQuery(key: key, days: Limits.usageDays.value)
      let answer = try await bus.call(
        .spendingQuery(query), to: .service(.registry), deadline: Self.deadline)
      if case .spendingReport(let found) = answer, found.key == key { report = found }
    } catch {
      logger.debug(
        "the registry did not return a key's spending", metadata: [LogKey.error: "\(error)"])
    }
    let now = clock.now
    let isAbandoned = report == nil && Task.isCancelled
    let waiters = state.withLock { state in
      if isAbandoned {
        state.cache.abandon(key)
      } else {
        state.cache.store(report, of: key, at: now)
      }
      return state.waiting.removeValue(forKey: key) ?? []
    }
    for waiter in waiters { waiter.resume(returning: isAbandoned ? .wait : .known(report)) }
    return report
  }
}
