public import ClusterModel
public import Logging
public import ServiceLifecycle
import Synchronization
import Telemetry
public import Wire

/// This process's copy of the host table. It stays when the registry goes: nobody becomes
/// ineligible because the registry died.
public final class HostDirectory: Service {
  private let feed = Mutex(HostTableFeed())
  /// The newest table of merged load, and when it came.
  private let merged = Mutex<(table: LoadTable, came: ContinuousClock.Instant)?>(nil)
  private let changed = Mutex<(@Sendable () -> Void)?>(nil)
  private let ask: @Sendable () async throws(Failure) -> HostTable
  private let pause: @Sendable (Duration) async throws -> Void
  private let logger: Logger
  private let questions: AsyncStream<Void>
  private let question: AsyncStream<Void>.Continuation

  /// Between two questions that were not answered; doubles up to the second.
  static let firstPause = Duration.milliseconds(250)
  static let longestPause = Duration.seconds(5)
  /// Between two looks for the first table, which comes within milliseconds of the start.
  static let tablePause = Duration.milliseconds(20)

  /// - Parameters:
  ///   - ask: asks the registry for its table.
  ///   - pause: waits, or throws when it is cancelled.
  public init(
    ask: @escaping @Sendable () async throws(Failure) -> HostTable,
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    logger: Logger
  ) {
    self.ask = ask
    self.pause = pause
    self.logger = logger
    // One question answers all that are waiting.
    (questions, question) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Called whenever the hosts, or what they have to do, may have changed; short, because it holds up
  /// what else the bus has to say. There is one listener; a second replaces it.
  public func onChange(_ listener: @escaping @Sendable () -> Void) {
    changed.withLock { $0 = listener }
  }

  private func tellOfChange() { changed.withLock(\.self)?() }

  public var table: HostTable { feed.withLock { $0.table } }

  /// False until the registry was heard once.
  public var hasTable: Bool { feed.withLock { $0.hasTable } }

  /// Waits until the registry was heard once: a process that has just started knows no host, which is
  /// not to say that there is none.
  /// - Returns: false when it was not heard in time.
  public func waitForTable(within limit: Duration) async -> Bool {
    let end = ContinuousClock.now.advanced(by: limit)
    while !hasTable {
      guard ContinuousClock.now < end else { return false }
      do {
        try await pause(Self.tablePause)
      } catch {
        return hasTable
      }
    }
    return true
  }

  /// The load of all processes as the registry last merged it, and how long ago it came; nil: none
  /// did. Load is told anew several times a second, so what was missed is never asked for.
  public var load: (table: LoadTable, age: Duration)? {
    merged.withLock { $0.map { ($0.table, $0.came.duration(to: .now)) } }
  }

  /// Takes a published table. Returns true if `body` was one.
  @discardableResult
  public func apply(_ body: Body) -> Bool {
    if case .loadTable(let table) = body {
      merged.withLock { merged in
        if let known = merged?.table,
          known.epoch == table.epoch, known.revision >= table.revision
        {
          return
        }
        merged = (table, .now)
      }
      tellOfChange()
      return true
    }
    guard case .hostTable(let table) = body else { return false }
    switch feed.withLock({ $0.published(table) }) {
    case .none: break
    case .ask: question.yield()
    }
    tellOfChange()
    return true
  }

  /// Asks the registry at the start and whenever publications show that something was missed.
  public func run() async throws {
    question.yield()
    try? await cancelWhenGracefulShutdown {
      for await _ in self.questions { try await self.askUntilAnswered() }
    }
  }

  private func askUntilAnswered() async throws {
    var wait = Self.firstPause
    while true {
      do {
        let table = try await ask()
        feed.withLock { $0.answered(table) }
        tellOfChange()
        logger.debug(
          "got the host table",
          metadata: [
            LogKey.epoch: "\(table.epoch)", LogKey.revision: "\(table.revision)",
            LogKey.count: "\(table.hosts.count)",
          ])
        return
      } catch {
        logger.debug(
          "the registry did not give its host table", metadata: [LogKey.error: "\(error)"])
      }
      try await pause(wait)
      wait = min(wait * 2, Self.longestPause)
    }
  }
}
