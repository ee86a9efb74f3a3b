import ArgumentParser
import ClusterTesting
import Foundation

@main
struct FaultyHostProcess: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tutti-faulty-host",
    abstract: "An OpenAI-compatible backend that answers the same every time and fails on demand.",
    discussion: """
      It listens on 127.0.0.1 and prints its URL as the first line. Delays are milliseconds, or a
      distribution: lognormal:MEDIAN:SIGMA, pareto:MINIMUM:ALPHA.

      Faults can be switched while it runs:
        curl -X PUT http://127.0.0.1:PORT/faults -d '{"stall_at_token":3}'
        curl -X PUT http://127.0.0.1:PORT/faults -d '{}'            (works again)
      and what it saw is told by:
        curl http://127.0.0.1:PORT/counts

      Faults: \(FaultyHostFaults.names.sorted().joined(separator: ", "))
      """)

  @Option(help: "Port on 127.0.0.1; 0 takes a free one.")
  var port = 0

  @Option(help: "A model it offers. May be repeated.")
  var model: [String] = []

  @Option(help: "The text it answers with.")
  var answer = "The quick brown fox jumps over the lazy dog."

  @Flag(help: "Answer with the body of the request instead.")
  var echo = false

  @Option(help: "Cut the answer into pieces of that many characters instead of words.")
  var tokenCharacters: Int?

  @Option(help: "Delay before the first token, in milliseconds or as a distribution.")
  var firstTokenMs = Delay(.none)

  @Option(help: "Delay between tokens, in milliseconds or as a distribution.")
  var interTokenMs = Delay(.none)

  @Option(help: "Seed of every delay and chance.")
  var seed: UInt64 = 1

  @Option(help: "Faults to start with, as JSON.")
  var faults = "{}"

  func validate() throws {
    guard (0...65_535).contains(port) else {
      throw ValidationError("--port \(port) is not a port (0–65535)")
    }
    _ = try parsedFaults()
  }

  private func parsedFaults() throws -> FaultyHostFaults {
    do {
      return try JSONDecoder().decode(FaultyHostFaults.self, from: Data(faults.utf8))
    } catch {
      throw ValidationError(
        "--faults is not a JSON object with some of: "
          + FaultyHostFaults.names.sorted().joined(separator: ", "))
    }
  }

  func run() async throws {
    let host = FaultyHost(
      FaultyHostConfiguration(
        models: model.isEmpty ? ["faulty-model"] : model, answer: echo ? .echo : .text(answer),
        tokens: tokenCharacters.map { .characters($0) } ?? .words,
        firstToken: firstTokenMs.distribution, interToken: interTokenMs.distribution, seed: seed,
        faults: try parsedFaults(), port: port))
    try await host.start()
    // Not through stdio's buffer: whoever started this waits for the line.
    FileHandle.standardOutput.write(Data("\(host.url)\n".utf8))
    try await host.waitUntilClosed()
  }
}

struct Delay: ExpressibleByArgument {
  let distribution: DelayDistribution

  init(_ distribution: DelayDistribution) { self.distribution = distribution }

  init?(argument: String) {
    guard let distribution = DelayDistribution(argument) else { return nil }
    self.distribution = distribution
  }

  var defaultValueDescription: String { "0" }
}
