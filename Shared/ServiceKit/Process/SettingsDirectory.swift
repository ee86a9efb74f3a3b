public import BusCore
public import ClusterModel
import Logging
public import ServiceLifecycle
import Synchronization

/// This process's copy of the settings that admins have changed. It is kept if the registry dies.
public final class SettingsDirectory: Service {
  public typealias Listener = @Sendable (RuntimeOverrides) -> Void

  private struct State {
    var feed = RuntimeSettingsFeed()
    var listeners: [Listener] = []

    /// Calls the listeners under the lock, so that every listener gets the changes in the order in
    /// which they were made.
    func notify() { for listener in listeners { listener(feed.overrides) } }
  }

  private let state = Mutex(State())
  private let ask: @Sendable () async throws(Failure) -> RuntimeSettingsTable
  private let requests: TableRequests

  /// - Parameters:
  ///   - ask: requests the table from the registry.
  ///   - pause: waits, and throws if cancelled.
  init(
    ask: @escaping @Sendable () async throws(Failure) -> RuntimeSettingsTable,
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    logger: Logger
  ) {
    self.ask = ask
    requests = TableRequests(of: "settings", pause: pause, logger: logger)
  }

  /// A directory without a registry: only `apply` changes its overrides.
  public convenience init() {
    self.init(
      ask: { () throws(Failure) -> RuntimeSettingsTable in
        throw Failure(.unhandled, "There is no registry.")
      }, logger: Logger(label: "settings"))
  }

  public var overrides: RuntimeOverrides { state.withLock(\.feed.overrides) }

  /// Adds a listener, and calls it now and after each change of the overrides. The listener must be
  /// quick and must not use this object.
  public func onChange(_ listener: @escaping Listener) {
    state.withLock { state in
      state.listeners.append(listener)
      listener(state.feed.overrides)
    }
  }

  /// Applies a published table.
  /// - Returns: whether `body` was a table of settings.
  @discardableResult
  public func apply(_ body: Body) -> Bool {
    guard case .settingsTable(let table) = body else { return false }
    let outcome = state.withLock { state in
      let outcome = state.feed.published(table)
      if outcome == .replaced { state.notify() }
      return outcome
    }
    if outcome == .ask { requests.trigger() }
    return true
  }

  /// Requests the table at the start, and after a publication with a lower epoch than the current
  /// table.
  public func run() async throws {
    await requests.run { () throws(Failure) in
      do throws(Failure) {
        let table = try await self.ask()
        self.state.withLock { state in
          if state.feed.answered(table) == .replaced { state.notify() }
        }
      } catch  where error.code == .unhandled {
        // The registry has no run-time settings, for example because its version is older.
      }
    }
  }
}
