import ServiceKit

/// Collects logs, spans, requests and metrics from the other processes.
package enum MonitorProcess {
  package static func main() async {
    await ServiceMain.run(MonitorConfiguration.self, build: buildMonitor)
  }
}
