import Bus
import BusCore
import ClusterModel
import ServiceLifecycle
import Telemetry

/// Sends the recorder's telemetry to the monitor at intervals, and once more at shutdown.
struct TelemetryFlush: Service {
  let recorder: TelemetryRecorder
  let bus: Bus

  /// Interval that is long enough to fill a batch and short enough for live viewing.
  static let interval = Duration.milliseconds(500)
  /// Metrics are sent at every fourth interval, which is every 2 s.
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
    // Without a live monitor the recorder keeps as much as it has room for, because the first lines
    // after a start are the most useful ones.
    guard !bus.live(.monitor).isEmpty else { return }
    for batch in recorder.drain(metrics: metrics) {
      bus.cast(.telemetry(batch), to: .service(.monitor), lane: .telemetry)
    }
  }
}
