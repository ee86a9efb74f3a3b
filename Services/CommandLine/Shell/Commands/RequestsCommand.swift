import Access
import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

struct RequestsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "requests",
    abstract: "Show the requests of clients: tokens, costs and outcome, the oldest first.",
    discussion: """
        tutti requests
        tutti requests --since 1h --status 5xx
        tutti requests --trace 4bf92f3577b34da6a3ce929d0e0e4736
        tutti requests --follow

      "credits" is the charge of the request's key, "hosts' credits" the cost at the hosts' own \
      prices; - means that it is not billed, or that a price is not known. Status 499: the client \
      left before the answer ended.
      """)

  @OptionGroup var cluster: ClientOptions
  @Flag(help: "Continue to print new requests until interrupted.")
  var follow = false
  @Option(help: "Only requests since then: a duration such as 90s, 15m, 1h or 2d, or a time.")
  var since: String?
  @Option(help: "Only requests of the key with this id.") var key: String?
  @Option(help: "Only the request with this trace id.") var trace: String?
  @Option(
    help: "Only requests with this status, such as 429 or 5xx, among the newest 1000.")
  var status: String?
  @Option(help: "Maximum requests; the newest ones are shown.") var limit = 20
  @Flag(help: "Print one JSON object a line.") var json = false

  /// The most records that the monitor returns at once.
  private static let mostRecords = 1_000

  func validate() throws {
    if let trace, TraceID(trace) == nil {
      throw ValidationError("--trace: “\(trace)” is not 32 hexadecimal digits")
    }
    if let since, SinceArgument(since, now: Self.now) == nil {
      throw ValidationError("--since: “\(since)” is not \(SinceArgument.forms)")
    }
    if let status, StatusFilter(status) == nil {
      throw ValidationError("--status: “\(status)” is neither a status such as 429 nor 4xx or 5xx")
    }
    if let key, KeyID(key) == nil {
      throw ValidationError("--key: “\(key)” is not the id of a key (see `tutti keys list`)")
    }
    guard (1...Self.mostRecords).contains(limit) else {
      throw ValidationError("--limit: \(limit) is not in 1–\(Self.mostRecords)")
    }
  }

  private static var now: Timestamp {
    Timestamp(unixMicroseconds: UInt64(clamping: WallClock.milliseconds) * 1_000)
  }

  func run() async throws {
    let client = try await cluster.client()
    let filter = status.flatMap { StatusFilter($0) }
    // A duration ends now, and not at the time of a later page.
    var follower = RequestFollower(since: since.flatMap { SinceArgument($0, now: Self.now)?.time })
    var isFirst = true
    while true {
      let records = try await page(client, since: follower.since)
      let new = follower.unseen(in: records, now: Self.now)
        .filter { filter?.permits($0) ?? true }
      show(isFirst ? Array(new.suffix(limit)) : new)
      guard follow else {
        if new.isEmpty { Terminal.progress(nothingFound) }
        return
      }
      isFirst = false
      // A person reads the lines, so a delay of a second does not matter.
      try await Task.sleep(for: .seconds(1))
    }
  }

  private var nothingFound: String {
    "no such request is recorded; services send their records about once a second"
  }

  private func page(_ client: ClusterClient, since: Timestamp?) async throws -> [RequestRecord] {
    // The monitor does not filter by status.
    var query = ["limit=\(status == nil && !follow ? limit : Self.mostRecords)"]
    if let trace { query.append("trace=\(trace)") }
    if let key { query.append("key=\(key)") }
    if let since { query.append("since=\(since.unixMicroseconds)") }
    let url = client.address.monitor + "/requests?" + query.joined(separator: "&")
    return try await client.clientSuccess(.GET, url)
      .decoded(as: ClusterClient.Page<RequestRecord>.self, from: url).data
  }

  private func show(_ records: [RequestRecord]) {
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      for record in records {
        if let line = try? encoder.encode(record) { Terminal.json(line) }
      }
    } else if follow {
      for record in records { Terminal.line(RequestRows.line(record)) }
    } else if !records.isEmpty {
      for line in RequestRows.table(records).lines { Terminal.line(line) }
    }
  }
}
