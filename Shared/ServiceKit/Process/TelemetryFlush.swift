import Bus
import BusCore
import ClusterModel
import ServiceLifecycle
import Telemetry
import Wire

/// Hands what the recorder collected to the monitor, and once more when everything else is over.
struct TelemetryFlush: Service {
  let recorder: TelemetryRecorder
  let bus: Bus

  /// Long enough to fill a batch, short enough for somebody who watches.
  static let interval = Duration.milliseconds(500)
  /// Every fourth time with metrics: every 2 s.
  static let metricsEvery = 4

  func run() async throws {
    var round = 0
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      try? await cancelWhenGracefulShutdown { try await Task.sleep(for: Self.interval) }
      flush(metrics: round % Self.metricsEvery == 0)
      round += 1
    }
    flush(metrics: true)
  }

  private func flush(metrics: Bool) {
    if let sink = recorder.redirection {
      for batch in recorder.drain(metrics: metrics) { sink(batch) }
      return
    }
    // While nobody listens the recorder keeps what it has room for: the first lines of a start are
    // the ones that are looked for.
    guard !bus.live(.monitor).isEmpty else { return }
    for batch in recorder.drain(metrics: metrics) {
      bus.cast(.telemetry(batch), to: .service(.monitor), lane: .telemetry)
    }
  }
}
