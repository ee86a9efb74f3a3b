import ArgumentParser
import CommandLineCore
import NIOHTTP1

struct UsageCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "usage",
    abstract: "Show what your key has used, and what it may still use.",
    discussion: """
        tutti usage
        tutti usage --days 7
        tutti usage --json

      Days are in UTC, today included. "left here" is the part of a limit that the answering \
      gateway still permits: gateways divide each limit among themselves.
      """)

  @OptionGroup var cluster: ClientOptions
  @Option(help: "Number of days, 1 to 31.") var days = 30
  @Flag(help: "Print one JSON object.") var json = false

  func validate() throws {
    guard (1...31).contains(days) else {
      throw ValidationError("--days: \(days) is not from 1 to 31")
    }
  }

  func run() async throws {
    let client = try await cluster.client()
    let url = client.address.gateway + "/v1/usage?days=\(days)"
    let answer = try await client.clientSuccess(.GET, url)
    if json {
      Terminal.json(answer.body)
      return
    }
    let usage = try answer.decoded(as: UsageView.self, from: url)
    for line in usage.lines { Terminal.line(line) }
    if !usage.isComplete {
      Terminal.progress(
        "the registry does not answer: budgets and requests with a cost are missing")
    }
  }
}
