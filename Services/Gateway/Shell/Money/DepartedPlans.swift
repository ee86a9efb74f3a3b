import Clocks
import ClusterModel
import GatewayCore
import ServiceLifecycle
import Synchronization

/// Settles plans that this gateway has cancelled. It is the shell around `PlanDepartures`.
final class DepartedPlans: Service {
  /// Settles a plan. `nil` means that its dispatcher sent no tokens.
  typealias Settle = @Sendable (PlanCosts?) -> Void

  private static let tick = Duration.milliseconds(250)

  private struct State {
    var departures = PlanDepartures()
    var waiting: [TraceID: Settle] = [:]
    /// Whether the process shuts down, so that no plan waits any more.
    var isOver = false
  }

  private let state = Mutex(State())
  private let clock = ProcessClock()

  func begin(_ trace: TraceID) { state.withLock { $0.departures.begin(trace) } }

  func end(_ trace: TraceID) { state.withLock { $0.departures.end(trace) } }

  /// Settles a cancelled plan, now or when its dispatcher has sent the tokens of its tasks.
  func leave(_ trace: TraceID, _ dispatch: PlanDispatch, settle: @escaping Settle) {
    let now = clock.now
    let (costs, isReady) = state.withLock { state -> (PlanCosts?, Bool) in
      let costs = state.departures.leave(trace, dispatch, now: now)
      guard costs == nil, !state.isOver else {
        state.departures.end(trace)
        return (costs, true)
      }
      state.waiting[trace] = settle
      return (nil, false)
    }
    if isReady { settle(costs) }
  }

  func receive(_ costs: PlanCosts, from dispatcher: PeerID) {
    let settle = state.withLock { state -> Settle? in
      guard state.departures.receive(costs, from: dispatcher) else { return nil }
      return state.waiting.removeValue(forKey: costs.trace)
    }
    settle?(costs)
  }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while (try? await Task.sleep(for: Self.tick)) != nil { self.settleDue() }
    }
    // All answers have ended. The settlements must be made before the money is returned.
    let waiting = state.withLock { state -> [Settle] in
      state.isOver = true
      return state.departures.endAll().compactMap { state.waiting.removeValue(forKey: $0) }
    }
    for settle in waiting { settle(nil) }
  }

  private func settleDue() {
    let now = clock.now
    let due = state.withLock { state -> [Settle] in
      state.departures.expire(now: now).compactMap { state.waiting.removeValue(forKey: $0) }
    }
    for settle in due { settle(nil) }
  }
}
