public import BusCore
import Clocks
public import ClusterModel
import Logging
public import ServiceLifecycle
import Synchronization
import Telemetry

/// This process's copies of the host table and the load table. They are kept if the registry dies.
public final class HostDirectory: Service {
  private let feed = Mutex(HostTableFeed())
  private let loads = Mutex(LoadTableFeed())
  private let clock = ProcessClock()
  private let changed = Mutex<(@Sendable () -> Void)?>(nil)
  private let ask: @Sendable () async throws(Failure) -> HostTable
  private let pause: @Sendable (Duration) async throws -> Void
  private let listsModels: Bool
  private let logger: Logger
  private let requests: TableRequests

  /// Longest pause between unanswered requests for the table. A process that missed changes uses an
  /// old table until the registry answers.
  private static let longestPause = Duration.seconds(1)

  /// Pause between checks for the first table, which arrives within milliseconds of the start.
  static let tablePause = Duration.milliseconds(20)

  /// - Parameters:
  ///   - ask: requests the table from the registry.
  ///   - listsModels: whether each table gets its lists of models when it arrives
  ///     (`HostTable.indexed`).
  ///   - pause: waits, and throws if cancelled.
  init(
    ask: @escaping @Sendable () async throws(Failure) -> HostTable, listsModels: Bool = false,
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    logger: Logger
  ) {
    self.ask = ask
    self.listsModels = listsModels
    self.pause = pause
    self.logger = logger
    requests = TableRequests(
      of: "hosts", longestPause: Self.longestPause, pause: pause, logger: logger)
  }

  /// Sets the listener for changes of hosts or load, replacing an earlier one. The listener must be
  /// quick, because it blocks the delivery of bus messages.
  public func onChange(_ listener: @escaping @Sendable () -> Void) {
    changed.withLock { $0 = listener }
  }

  private func notifyChange() { changed.withLock(\.self)?() }

  public var table: HostTable { feed.withLock { $0.table } }

  /// Whether a table has arrived from the registry.
  var hasTable: Bool { feed.withLock { $0.hasTable } }

  /// Waits for the first table. A process that has just started has no table, which does not mean
  /// that there are no hosts.
  /// - Returns: `false` if no table arrived in time.
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

  private var now: Instant { clock.now }

  /// The load of all processes as last merged by the registry, and its age; `nil` if none has
  /// arrived. Load is published at least every 2 s, so a missed table is not requested again.
  public var load: (table: LoadTable, age: Duration)? {
    loads.withLock { $0.load(now: now) }
  }

  /// Applies a published table of hosts or load, or published changes of hosts.
  /// - Returns: whether `body` was one of these publications.
  @discardableResult
  public func apply(_ body: Body) -> Bool {
    if case .loadTable(let table) = body {
      loads.withLock { $0.published(table, now: now) }
      notifyChange()
      return true
    }
    let directive: HostTableFeed.Directive
    switch body {
    case .hostTable(let table): directive = feed.withLock { $0.published(table) }
    case .hostChanges(let changes): directive = feed.withLock { $0.published(changes) }
    default: return false
    }
    if directive == .ask { requests.trigger() }
    tableChanged()
    return true
  }

  private func tableChanged() {
    if listsModels {
      let table = table
      if !table.hasLists {
        let indexed = table.indexed()
        feed.withLock { $0.addLists(from: indexed) }
      }
    }
    notifyChange()
  }

  /// Requests the table at the start, and whenever publications show that one was missed.
  public func run() async throws {
    await requests.run { () throws(Failure) in
      let table = try await self.ask()
      self.feed.withLock { $0.answered(table) }
      self.tableChanged()
      self.logger.debug(
        "got the host table",
        metadata: [
          LogKey.epoch: "\(table.epoch)", LogKey.revision: "\(table.revision)",
          LogKey.count: "\(table.hosts.count)",
        ])
    }
  }
}
