public import Bus
import BusCore
public import ClusterModel
public import ServiceLifecycle

/// Reports this process's own traffic per host to the registry, so that all processes decide from
/// the same load data. Only processes that infer run it.
public struct LoadReporter: Service {
  private let bus: Bus
  private let collect: @Sendable () -> LoadReport?

  /// - Parameter collect: returns the report to send; `nil` means that nothing is sent.
  public init(bus: Bus, collect: @escaping @Sendable () -> LoadReport?) {
    self.bus = bus
    self.collect = collect
  }

  public func run() async throws {
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      try? await cancelWhenGracefulShutdown { try await Task.sleep(for: LoadRhythm.interval) }
      // Without a live registry the changes accumulate and are reported in one sum later.
      guard !bus.live(.registry).isEmpty, let report = collect() else { continue }
      bus.cast(.loadReport(report), to: .service(.registry))
    }
  }
}
