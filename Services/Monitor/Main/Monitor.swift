import ServiceKit

/// Collects logs, spans, requests and metrics from the other processes.
@main
enum MonitorProcess {
  static func main() async {
    await ServiceMain.run(MonitorConfiguration.self, build: buildMonitor)
  }
}
