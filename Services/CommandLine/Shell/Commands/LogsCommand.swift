import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct LogsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logs",
    abstract: "Show the logs of all services, the oldest first.",
    discussion: """
        tutti logs
        tutti logs --level warning
        tutti logs --trace 4bf92f3577b34da6a3ce929d0e0e4736
        tutti logs --follow
      """)

  @OptionGroup var cluster: ClientOptions
  @Flag(help: "Continue to print new lines until interrupted.")
  var follow = false
  @Option(help: "Only lines of the request with this trace id.") var trace: String?
  @Option(help: "Only lines of this level or above: \(levels.joined(separator: ", ")).")
  var level: String?
  @Option(help: "Maximum lines; the newest ones are shown.") var limit = 100
  @Flag(help: "Print one JSON object a line.") var json = false

  private static let levels = [
    "trace", "debug", "info", "notice", "warning", "error", "critical",
  ]

  func validate() throws {
    if let level, !Self.levels.contains(level) {
      throw ValidationError(
        "--level: “\(level)” is not one of \(Self.levels.joined(separator: ", "))")
    }
    if let trace, TraceID(trace) == nil {
      throw ValidationError("--trace: “\(trace)” is not 32 hexadecimal digits")
    }
    guard (1...1_000).contains(limit) else {
      throw ValidationError("--limit: \(limit) is not in 1–1000")
    }
  }

  func run() async throws {
    let client = try await cluster.client()
    /// Printed lines of the latest microsecond. Lines of the same microsecond are distinguished by
    /// their content.
    var seen: Set<LogRecord> = []
    var since: UInt64 = 0
    while true {
      let records = try await page(client, since: since)
      for record in records where !seen.contains(record) { show(record) }
      guard follow else {
        if records.isEmpty { Terminal.progress(nothingFound) }
        return
      }
      if let last = records.last?.timeUnixMicroseconds, last >= since {
        since = last
        // The next query can return printed lines of this microsecond again, but no earlier ones.
        seen = Set(records.filter { $0.timeUnixMicroseconds == last })
      }
      // A person reads the lines, so a delay of a second does not matter.
      try await Task.sleep(for: .seconds(1))
    }
  }

  /// Explains an empty result, which could look like a broken command.
  private var nothingFound: String {
    switch (trace, level) {
    case (let trace?, _):
      "no log line has trace \(trace); `tutti trace \(trace)` shows what was done for it"
    case (nil, let level?):
      "nothing is logged at \(level) or above; services send their lines once in a second"
    case (nil, nil): "nothing is logged yet; services send their lines once in a second"
    }
  }

  private func page(_ client: ClusterClient, since: UInt64) async throws -> [LogRecord] {
    var query = ["limit=\(limit)"]
    if let trace { query.append("trace=\(trace)") }
    if let level { query.append("level=\(level)") }
    if since > 0 { query.append("since=\(since)") }
    let url = client.address.monitor + "/logs?" + query.joined(separator: "&")
    let page = try await client.clientSuccess(.GET, url)
      .decoded(as: ClusterClient.Page<LogRecord>.self, from: url)
    return page.data.sorted { $0.timeUnixMicroseconds < $1.timeUnixMicroseconds }
  }

  private func show(_ record: LogRecord) {
    if json {
      if let line = try? JSONEncoder().encode(record) {
        Terminal.json(line)
      }
      return
    }
    let time = Date(timeIntervalSince1970: Double(record.timeUnixMicroseconds) / 1e6)
      .formatted(.iso8601.time(includingFractionalSeconds: true).dateSeparator(.dash))
    var line = "\(time) \(record.level) \(record.service): \(record.message)"
    for attribute in record.attributes { line += " \(attribute.key)=\(attribute.value)" }
    if let trace = record.trace { line += " trace=\(trace)" }
    Terminal.line(line)
  }
}
