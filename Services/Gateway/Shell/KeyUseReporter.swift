import Access
import Bus
import BusCore
import ClusterModel
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry

/// Exchanges the day's use of keys with the registry, so that limits per day hold after a restart of
/// this gateway, and over all gateways. It is the shell around `KeyUseExchange`.
final class KeyUseReporter: Service {
  private static let pause = Duration.seconds(1)
  /// Pause until the first answer. It is shorter, because a gateway counts alone until then.
  private static let firstPause = Duration.milliseconds(100)
  private static let deadline = Duration.seconds(1)

  private struct State {
    var exchange = KeyUseExchange()
    var isAnswered = false
  }

  private let bus: Bus
  private let keys: KeyGate
  private let logger: Logger
  private let state = Mutex(State())

  init(_ bus: Bus, keys: KeyGate, logger: Logger) {
    self.bus = bus
    self.keys = keys
    self.logger = logger
  }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        if await self.exchange() { continue }
        let isAnswered = self.state.withLock(\.isAnswered)
        try? await Task.sleep(for: isAnswered ? Self.pause : Self.firstPause)
      }
    }
    // All answers have ended, so this report has all use of this process.
    while await exchange() {}
  }

  /// - Returns: whether the next exchange is due at once.
  private func exchange() async -> Bool {
    let report = state.withLock { keys.useReport(&$0.exchange) }
    do throws(Failure) {
      let answer = try await bus.call(
        .keyUseReport(report), to: .service(.registry), deadline: Self.deadline)
      guard case .keyUseTable(let table) = answer else {
        throw Failure(.internalError, "The registry's answer is not a table of use.")
      }
      return state.withLock { state in
        state.isAnswered = true
        return keys.receive(table, &state.exchange)
      }
    } catch {
      state.withLock { keys.fail(&$0.exchange) }
      logger.debug(
        "the registry did not receive the use of keys", metadata: [LogKey.error: "\(error)"])
      return false
    }
  }
}
