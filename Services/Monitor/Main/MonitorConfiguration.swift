import ClusterModel
import ServiceKit

struct MonitorConfiguration: ServiceConfiguration {
  static let service = ServiceName.monitor
  static let summary =
    "Keeps logs, spans and requests, and serves the metrics of the whole cluster."

  static let settings = [
    Setting(
      "monitor.port", .address, default: "8082",
      help: "Where metrics, logs and traces are served: PORT or HOST:PORT."),
    Setting(
      "monitor.mongodb_uri", .text,
      help: "mongodb://HOST:PORT/DATABASE of the log store; without it, DATA_DIR/monitor.sqlite.",
      variable: "TUTTI_MONGODB_URI", secret: true),
  ]

  var address: HostAndPort
  /// Nil: SQLite in the data directory.
  var mongoDB: String?

  init(_ values: inout SettingValues) {
    address = values.address("monitor.port")
    values.checkListening("monitor.port", address, asksForKeys: false)
    mongoDB = values.optionalText("monitor.mongodb_uri")
    if let mongoDB, !mongoDB.hasPrefix("mongodb://"), !mongoDB.hasPrefix("mongodb+srv://") {
      values.reject(
        "monitor.mongodb_uri", "does not begin with mongodb:// or mongodb+srv://")
    }
  }
}
