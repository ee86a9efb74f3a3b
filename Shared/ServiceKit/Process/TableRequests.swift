public import ClusterModel
public import Logging
import ServiceLifecycle
import Telemetry

/// Requests a table from the registry until the registry answers. The pauses between the requests
/// double, up to a maximum.
public final class TableRequests: Sendable {
  /// Pause after the first unanswered request of most tables.
  public static let firstPause = Duration.milliseconds(250)
  public static let longestPause = Duration.seconds(5)

  private let table: String
  private let firstPause: Duration
  private let longestPause: Duration
  private let pause: @Sendable (Duration) async throws -> Void
  private let logger: Logger
  /// One request serves all waiting triggers.
  private let triggers = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameters:
  ///   - table: name of the table in the log.
  ///   - firstPause: pause after the first unanswered request. It doubles up to `longestPause`.
  ///   - pause: waits, and throws if cancelled.
  public init(
    of table: String, firstPause: Duration = firstPause, longestPause: Duration = longestPause,
    pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) },
    logger: Logger
  ) {
    self.table = table
    self.firstPause = firstPause
    self.longestPause = longestPause
    self.pause = pause
    self.logger = logger
  }

  /// Requests the table once more.
  public func trigger() { triggers.continuation.yield() }

  /// Requests the table at the start, and after each trigger, until the process shuts down.
  ///
  /// - Parameter fetch: requests the table and applies the answer. If it throws, it is called again
  ///   after a pause.
  public func run(_ fetch: @escaping @Sendable () async throws(Failure) -> Void) async {
    trigger()
    try? await cancelWhenGracefulShutdown {
      for await _ in self.triggers.stream { try await self.repeatUntilAnswered(fetch) }
    }
  }

  private func repeatUntilAnswered(
    _ fetch: () async throws(Failure) -> Void
  ) async throws {
    var wait = firstPause
    while true {
      do throws(Failure) {
        return try await fetch()
      } catch {
        logger.debug(
          "the registry did not return a table",
          metadata: ["table": "\(table)", LogKey.error: "\(error)"])
      }
      try await pause(wait)
      wait = min(wait * 2, longestPause)
    }
  }
}
