public import BusCore
public import ClusterModel
public import Logging
public import ServiceLifecycle
import Synchronization
import Telemetry

/// This process's copy of the settings that admins have changed. It is kept if the registry dies.
public final class SettingsDirectory: Service {
  public typealias Listener = @Sendable (RuntimeOverrides) -> Void

  private struct State {
    var feed = RuntimeSettingsFeed()
    var listeners: [Listener] = []

    /// Calls the listeners under the lock, so that all get the changes in their order.
    func notify() { for listener in listeners { listener(feed.overrides) } }
  }

  private let state = Mutex(State())
  private let ask: @Sendable () async throws(Failure) -> RuntimeSettingsTable
  private let pause: @Sendable (Duration) async throws -> Void
  private let logger: Logger
  private let questions: AsyncStream<Void>
  private let question: AsyncStream<Void>.Continuation

  /// Pause after the first unanswered request; it doubles up to `longestPause`.
  static let firstPause = Duration.milliseconds(250)
  static let longestPause = Duration.seconds(5)

  /// - Parameters:
  ///   - ask: requests the table from the registry.
  ///   - pause: waits, and throws if cancelled.
  public init(
    ask: @escaping @Sendable () async throws(Failure) -> RuntimeSettingsTable,
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    logger: Logger
  ) {
    self.ask = ask
    self.pause = pause
    self.logger = logger
    // One request serves all waiting triggers.
    (questions, question) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// A directory without a registry: only `apply` changes its overrides.
  public convenience init() {
    self.init(
      ask: { () throws(Failure) -> RuntimeSettingsTable in
        throw Failure(.unhandled, "There is no registry.")
      }, logger: Logger(label: "settings"))
  }

  public var overrides: RuntimeOverrides { state.withLock(\.feed.overrides) }

  /// Adds a listener, and calls it now and after each change of the overrides. It must be quick and
  /// must not use this object.
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
    if outcome == .ask { question.yield() }
    return true
  }

  /// Requests the table at the start, and if publications come from an earlier registry.
  public func run() async throws {
    question.yield()
    try? await cancelWhenGracefulShutdown {
      for await _ in self.questions { try await self.askUntilAnswered() }
    }
  }

  private func askUntilAnswered() async throws {
    var wait = Self.firstPause
    while true {
      do throws(Failure) {
        let table = try await ask()
        state.withLock { state in
          if state.feed.answered(table) == .replaced { state.notify() }
        }
        return
      } catch  where error.code == .unhandled {
        // The registry has no settings that change at run time.
        return
      } catch {
        logger.debug(
          "the registry did not return its settings", metadata: [LogKey.error: "\(error)"])
      }
      try await pause(wait)
      wait = min(wait * 2, Self.longestPause)
    }
  }
}
