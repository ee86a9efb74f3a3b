public import Bus
import BusCore
public import ClusterModel
public import ServiceLifecycle
import Wire

/// Tells the registry what this process has under way at which host, so that all processes decide
/// from one view of load. Only processes that infer run one.
public struct LoadReporter: Service {
  private let bus: Bus
  private let collect: @Sendable () -> LoadReport?

  /// - Parameter collect: what is to be told now; nil: nothing.
  public init(bus: Bus, collect: @escaping @Sendable () -> LoadReport?) {
    self.bus = bus
    self.collect = collect
  }

  public func run() async throws {
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      try? await cancelWhenGracefulShutdown { try await Task.sleep(for: LoadRhythm.interval) }
      // While nobody listens the news stays where it is, and is told in sum.
      guard !bus.live(.registry).isEmpty, let report = collect() else { continue }
      bus.cast(.loadReport(report), to: .service(.registry))
    }
  }
}
