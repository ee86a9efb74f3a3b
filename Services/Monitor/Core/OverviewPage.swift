public import ClusterModel

/// The monitor's home page: hosts, latest requests, services, and links. It is one document without
/// scripts, so it works offline and no text in it can be executed.
public struct OverviewPage: Sendable {
  var version: String
  var peers: [Peer]
  var hosts: [Host]
  /// Request records, newest first.
  var requests: [RequestRecord]
  /// Why the log store does not work. `nil` means that it works.
  var problem: String?
  var nowUnixMicroseconds: UInt64

  /// Allows the browser to show the page with its inline styles, and forbids everything else.
  public static let contentSecurityPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    + "frame-ancestors 'none'"

  /// The styles of the monitor's pages.
  public static let style = """
    body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }
    table { border-collapse: collapse; width: 100% }
    th, td { border-bottom: 1px solid #ccc; padding: .2rem .6rem .2rem 0; text-align: left }
    .wrong { color: #b00020 }
    """

  /// Maximum requests shown. People do not read a longer list.
  public static let requestLimit = 20
  /// Maximum hosts shown. `tutti hosts list` shows all hosts.
  static let hostLimit = 100
  /// Maximum models shown per host.
  static let modelLimit = 8

  public init(
    version: String, peers: [Peer], hosts: [Host], requests: [RequestRecord], problem: String?,
    nowUnixMicroseconds: UInt64
  ) {
    self.version = version
    self.peers = peers
    self.hosts = hosts
    self.requests = requests
    self.problem = problem
    self.nowUnixMicroseconds = nowUnixMicroseconds
  }

  public var html: String {
    var page = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width">
      <title>Tutti</title>
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      <h1>Tutti</h1>
      <p>Version \(Self.escaped(version)).
      <a href="/metrics">Metrics</a> (Prometheus) ·
      <a href="/logs?limit=100">Logs</a> · <a href="/requests">Requests</a> ·
      <a href="/ready">Ready?</a></p>

      """
    if let problem { page += "<p class=\"wrong\">\(Self.escaped(problem))</p>\n" }
    page += "<h2>Hosts</h2>\n" + hostTable + "<h2>Last requests</h2>\n" + requestTable
    page += "<h2>Services</h2>\n" + peerTable + "</body>\n</html>\n"
    return page
  }

  private var hostTable: String {
    if hosts.isEmpty {
      return "<p>None. Add one with <code>tutti hosts add URL</code>.</p>\n"
    }
    let rows = hosts.sorted { $0.id < $1.id }.prefix(Self.hostLimit).map { host in
      let names = host.models.prefix(Self.modelLimit).map(\.id.name).joined(separator: ", ")
      let more = host.models.count - Self.modelLimit
      return [
        Self.escaped(host.id.name), Self.escaped(host.url),
        host.state == .ready ? "ready" : "<span class=\"wrong\">\(host.state.rawValue)</span>",
        Self.escaped(more > 0 ? "\(names) and \(more) more" : names), Self.escaped(host.reason),
      ]
    }
    let rest = hosts.count - rows.count
    return Self.table(["host", "url", "state", "models", "reason"], rows)
      + (rest > 0 ? "<p>And \(rest) more.</p>\n" : "")
  }

  private var requestTable: String {
    if requests.isEmpty { return "<p>None yet.</p>\n" }
    let rows = requests.prefix(Self.requestLimit).map { request in
      let status =
        request.errorCode.isEmpty
        ? "\(request.status)"
        : "<span class=\"wrong\">\(request.status) \(Self.escaped(request.errorCode))</span>"
      let trace = Self.escaped(request.trace.description)
      return [
        age(request.timeUnixMicroseconds), Self.escaped(request.model), status,
        Self.escaped(request.host), "\(request.totalMilliseconds)",
        "<a href=\"/traces/\(trace)\">\(trace.prefix(8))…</a>",
      ]
    }
    return Self.table(["when", "model", "status", "host", "ms", "trace"], rows)
  }

  private var peerTable: String {
    let rows = peers.map { peer in
      [peer.service.description, peer.id.name, peer.version].map(Self.escaped)
    }
    return Self.table(["service", "process", "version"], rows.sorted { $0[1] < $1[1] })
  }

  private func age(_ time: UInt64) -> String {
    // Clocks differ, so a time in the future counts as now.
    let seconds = nowUnixMicroseconds > time ? (nowUnixMicroseconds - time) / 1_000_000 : 0
    return switch seconds {
    case ..<120: "\(seconds) s ago"
    case ..<7_200: "\(seconds / 60) min ago"
    default: "\(seconds / 3_600) h ago"
    }
  }

  /// - Parameter rows: cells as HTML.
  private static func table(_ heads: [String], _ rows: [[String]]) -> String {
    let head = heads.map { "<th>\($0)</th>" }.joined()
    let body = rows.map { "<tr>" + $0.map { "<td>\($0)</td>" }.joined() + "</tr>" }
    return "<table>\n<tr>\(head)</tr>\n" + body.map { $0 + "\n" }.joined() + "</table>\n"
  }

  /// Escapes untrusted text for elements and quoted attributes.
  static func escaped(_ text: String) -> String {
    var safe = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": safe += "&amp;"
      case "<": safe += "&lt;"
      case ">": safe += "&gt;"
      case "\"": safe += "&quot;"
      case "'": safe += "&#39;"
      default: safe.unicodeScalars.append(scalar)
      }
    }
    return safe
  }
}
