import ClusterModel
import Limits
import ServiceKit

struct RegistryConfiguration: ServiceConfiguration {
  static let service = ServiceName.registry
  static let summary = "Knows which processes and hosts there are, and serves the admin API."

  static let settings = [
    Setting(
      "registry.port", .address, default: "8081",
      help: "Address of the admin API: PORT or HOST:PORT."),
    Setting(
      "registry.hosts", .list(of: .url, atMost: Limits.tableHosts.value),
      help: "URLs of hosts to add when the registry starts, unless they are registered already."),
    Setting(
      "registry.admin_token", .text,
      help:
        "Bearer token of the admin API, at least \(AdminToken.minimumBytes) bytes. Default: the "
        + "token in DATA_DIR/admin-token, which is created if it is absent.",
      variable: "TUTTI_ADMIN_TOKEN", secret: true),
    Setting(
      "registry.mongodb_uri", .text,
      help:
        "mongodb://HOST:PORT/DATABASE of keys, accounts, models, settings, prices, audit log and "
        + "ledger; without it, DATA_DIR/accounts.sqlite.",
      secret: true),
    Setting(.modelApproval),
  ]

  /// Address of the admin API.
  var admin: HostAndPort
  /// URLs of hosts to add at the start.
  var hosts: [String]
  /// The admin token. `nil` means the token in the data directory.
  var adminToken: String?
  /// Address of MongoDB. `nil` means SQLite in the data directory.
  var mongoDB: String?
  /// Approval of models that applies until an admin sets a value at run time.
  var modelApproval: ModelApproval

  init(_ values: inout SettingValues) {
    admin = values.address("registry.port")
    values.checkListening("registry.port", admin, asksForKeys: true)
    hosts = values.list("registry.hosts")
    adminToken = values.optionalText("registry.admin_token")
    modelApproval = values.choice(.modelApproval)
    if let adminToken, adminToken.utf8.count < AdminToken.minimumBytes {
      values.reject(
        "registry.admin_token", "is shorter than \(AdminToken.minimumBytes) bytes")
    }
    mongoDB = values.optionalText("registry.mongodb_uri")
    if let mongoDB, !mongoDB.hasPrefix("mongodb://"), !mongoDB.hasPrefix("mongodb+srv://") {
      values.reject(
        "registry.mongodb_uri", "does not begin with mongodb:// or mongodb+srv://")
    }
  }
}
