import Access
import ClusterModel
import Logging
import ServiceKit
import ServiceLifecycle
import Synchronization
import Telemetry

/// Ends the running answers of keys that are no longer valid, if the setting demands it.
///
/// The check runs after a change of the keys or the setting, and every second for keys that expire.
final class KeyWatch: Service {
  /// Time between checks. An answer may continue for this long after its key has expired.
  private static let interval = Duration.seconds(1)

  private let access: AccessDirectory
  private let answers: InFlightAnswers
  private let logger: Logger
  private let policy: Mutex<RevokedStreams>
  private let wakeups = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameter configured: the policy of the configuration.
  init(
    _ access: AccessDirectory, _ settings: SettingsDirectory, answers: InFlightAnswers,
    configured: RevokedStreams, logger: Logger
  ) {
    self.access = access
    self.answers = answers
    self.logger = logger
    policy = Mutex(configured)
    settings.onChange { [weak self] overrides in
      guard let self else { return }
      policy.withLock { $0 = overrides.choice(.revokedStreams) ?? configured }
      wakeups.continuation.yield()
    }
    access.onChange { [weak self] in self?.wakeups.continuation.yield() }
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      await withDiscardingTaskGroup { group in
        group.addTask {
          while (try? await Task.sleep(for: Self.interval)) != nil {
            self.wakeups.continuation.yield()
          }
        }
        for await _ in wakeups.stream { endRefused(at: UnixTime.milliseconds()) }
        group.cancelAll()
      }
    }
  }

  /// Ends the answers of keys that are not valid at this time. Does nothing unless the setting is
  /// `end`.
  func endRefused(at now: WallMilliseconds) {
    guard policy.withLock({ $0 == .end }), let table = access.table else { return }
    for key in answers.keys {
      guard let refusal = table.refusal(of: key, at: now) else { continue }
      let count = answers.end(answersOf: key, with: refusal.failure)
      logger.notice(
        "ended the running answers of a key that is no longer valid",
        metadata: ["key": "\(key)", LogKey.count: "\(count)"])
    }
  }
}
