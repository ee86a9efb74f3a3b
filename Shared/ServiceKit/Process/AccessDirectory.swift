public import Access
public import BusCore
public import ClusterModel
import Limits
public import Logging
public import ServiceLifecycle
import Synchronization

/// This process's copy of the access table. It is kept if the registry dies, so that known keys
/// still work.
public final class AccessDirectory: Service {
  private let feed = Mutex(AccessTableFeed())
  private let changed = Mutex<[@Sendable () -> Void]>([])
  private let ask: @Sendable (_ page: Int) async throws(Failure) -> AccessTablePage
  private let requests: TableRequests

  /// First pause between requests for the table. It is shorter than for other tables, because a
  /// gateway admits no request before it has this table.
  static let firstPause = Duration.milliseconds(100)

  /// - Parameters:
  ///   - ask: requests one page of the current table from the registry.
  ///   - pause: waits, and throws if cancelled.
  public init(
    ask: @escaping @Sendable (_ page: Int) async throws(Failure) -> AccessTablePage,
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    logger: Logger
  ) {
    self.ask = ask
    requests = TableRequests(
      of: "keys", firstPause: Self.firstPause, pause: pause, logger: logger)
  }

  /// The newest whole table. `nil` means that none has arrived, so no request can be admitted.
  public var table: AccessTable? { feed.withLock { $0.table } }

  /// Adds a listener for new tables. The listener must be quick, because it blocks the delivery of
  /// bus messages.
  public func onChange(_ listener: @escaping @Sendable () -> Void) {
    changed.withLock { $0.append(listener) }
  }

  private func receive(_ page: AccessTablePage, isAnswer: Bool = false) {
    let outcome = feed.withLock { $0.received(page, isAnswer: isAnswer) }
    guard outcome == .replaced else { return }
    for listener in changed.withLock(\.self) { listener() }
  }

  /// Applies a published page, and asks for the table if a published version shows that a page was
  /// missed.
  /// - Returns: whether `body` was about keys.
  @discardableResult
  public func apply(_ body: Body) -> Bool {
    switch body {
    case .accessTablePage(let page):
      receive(page)
      return true
    case .accessTableVersion(let version):
      if table?.version != version { requests.trigger() }
      return true
    default: return false
    }
  }

  /// Requests the table at the start, and whenever a part of it was missed.
  public func run() async throws {
    await requests.run { () throws(Failure) in try await self.askForPages() }
  }

  /// Requests all pages of one version. If the table changes meanwhile, the function throws, and
  /// `requests` repeats it after a pause.
  private func askForPages() async throws(Failure) {
    let first = try await ask(0)
    receive(first, isAnswer: true)
    for number in 1..<max(1, min(first.pages, Limits.accessPages.value)) {
      let page = try await ask(number)
      guard page.version == first.version else {
        throw Failure(.unhandled, "The keys have changed while they were read.")
      }
      receive(page, isAnswer: true)
    }
  }
}
