import ServiceKit

/// Collects what the other processes report: logs, spans, requests, metrics.
@main
enum MonitorProcess {
  static func main() async {
    await ServiceMain.run(MonitorConfiguration.self, build: buildMonitor)
  }
}
