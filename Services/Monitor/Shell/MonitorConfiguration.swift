import ClusterModel
import Limits
import ServiceKit

struct MonitorConfiguration: ServiceConfiguration {
  static let service = ServiceName.monitor
  static let summary =
    "Keeps logs, spans and requests, and serves the metrics of the whole cluster."

  static let settings = [
    Setting(
      "monitor.port", .address, default: "8082",
      help: "Address of metrics, logs and traces: PORT or HOST:PORT."),
    Setting(
      "monitor.store_bytes", .bytes(Limits.logBytesLeast.value...1 << 40),
      default: "\(Limits.logBytes.value >> 20)MiB",
      help:
        "Maximum size of logs, spans and requests in DATA_DIR/monitor.sqlite; the oldest are "
        + "deleted first."
    ),
    Setting(
      "monitor.mongodb_uri", .text,
      help: "mongodb://HOST:PORT/DATABASE of the log store; without it, DATA_DIR/monitor.sqlite.",
      variable: "TUTTI_MONGODB_URI", secret: true),
  ]

  var address: HostAndPort
  /// Maximum bytes of the embedded log store.
  var storeBytes: Int
  /// URL of a MongoDB for the log store. `nil` means SQLite in the data directory.
  var mongoDB: String?

  init(_ values: inout SettingValues) {
    address = values.address("monitor.port")
    values.checkListening(
      "monitor.port", address, asksForKeys: values.toggle("cluster.require_keys"))
    storeBytes = values.bytes("monitor.store_bytes")
    mongoDB = values.optionalText("monitor.mongodb_uri")
    if let mongoDB, !mongoDB.hasPrefix("mongodb://"), !mongoDB.hasPrefix("mongodb+srv://") {
      values.reject(
        "monitor.mongodb_uri", "does not begin with mongodb:// or mongodb+srv://")
    }
  }
}
