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
        tutti logs --level warning --since 1h
        tutti logs --service registry --since 2026-01-31T12:00:00Z
        tutti logs --trace 4bf92f3577b34da6a3ce929d0e0e4736
        tutti logs --follow
      """)

  @OptionGroup var cluster: ClientOptions
  @Flag(help: "Continue to print new lines until interrupted.")
  var follow = false
  @Option(help: "Only lines of the request with this trace id.") var trace: String?
  @Option(help: "Only lines of this level or above: \(levels.joined(separator: ", ")).")
  var level: String?
  @Option(
    help: "Only lines of this service.",
    completion: .list(ServiceName.all.map(\.description)))
  var service: String?
  @Option(help: "Only lines since then: \(SinceArgument.forms).") var since: String?
  @Option(help: "Maximum lines; the newest ones are shown.") var limit = 100
  @Flag(help: "Print one JSON object a line.") var json = false

  private static let limits = 1...1_000
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
    if let service, !ServiceName.all.contains(where: { $0.description == service }) {
      throw ValidationError(
        "--service: “\(service)” is not one of "
          + ServiceName.all.map(\.description).joined(separator: ", "))
    }
    if let since, SinceArgument(since, now: Self.now) == nil {
      throw ValidationError("--since: “\(since)” is not \(SinceArgument.forms)")
    }
    guard Self.limits.contains(limit) else {
      throw ValidationError("--limit: \(limit) is not in 1–1000")
    }
  }

  func run() async throws {
    let client = try await cluster.client()
    // A duration ends now, and not at the time of a later page.
    let start = since.flatMap { SinceArgument($0, now: Self.now)?.time }
    var follower = LogFollower()
    while true {
      let isFirst = follower.since == nil
      // Later pages are as long as possible, because their lines are all new or known.
      let records = try await page(
        client, since: follower.since ?? start, limit: isFirst ? limit : Self.limits.upperBound)
      for record in follower.unseen(in: records, now: Self.now) { show(record) }
      guard follow else {
        if records.isEmpty { Terminal.progress(nothingFound) }
        return
      }
      // A person reads the lines, so a delay of a second does not matter.
      try await Task.sleep(for: .seconds(1))
    }
  }

  private static var now: Timestamp {
    Timestamp(unixMicroseconds: UInt64(clamping: Int64(Date().timeIntervalSince1970 * 1_000_000)))
  }

  /// Explains an empty result, which could look like a broken command.
  private var nothingFound: String {
    if let trace {
      return "no log line has trace \(trace); `tutti trace \(trace)` shows what was done for it"
    }
    var scope = ""
    if let level { scope += " at \(level) or above" }
    if let service { scope += " by \(service)" }
    if let since { scope += " since \(since)" }
    return
      "nothing is logged\(scope.isEmpty ? " yet" : scope); services send their lines once in a "
      + "second"
  }

  private func page(
    _ client: ClusterClient, since: Timestamp?, limit: Int
  ) async throws -> [LogRecord] {
    var query = ["limit=\(limit)"]
    if let trace { query.append("trace=\(trace)") }
    if let level { query.append("level=\(level)") }
    if let service { query.append("service=\(service)") }
    if let since { query.append("since=\(since.unixMicroseconds)") }
    let url = client.address.monitor + "/logs?" + query.joined(separator: "&")
    return try await client.clientSuccess(.GET, url)
      .decoded(as: ClusterClient.Page<LogRecord>.self, from: url).data
  }

  private func show(_ record: LogRecord) {
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      if let line = try? encoder.encode(record) { Terminal.json(line) }
      return
    }
    let time = Timestamp(unixMicroseconds: record.timeUnixMicroseconds)
    var line = "\(time) \(record.level) \(record.service): \(record.message)"
    for attribute in record.attributes { line += " \(attribute.key)=\(attribute.value)" }
    if let trace = record.trace { line += " trace=\(trace)" }
    Terminal.line(line)
  }
}
