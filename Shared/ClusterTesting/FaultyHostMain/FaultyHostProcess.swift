import ClusterModel
import ArgumentParser
import ClusterTesting
import Foundation

@main
struct FaultyHostProcess: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tutti-faulty-host",
    abstract: "A backend that answers the same every time and fails on demand.",
    discussion: """
      It implements the APIs of OpenAI (/v1/chat/completions), Anthropic (/v1/messages) and Ollama
      (/api/chat), and continues a trailing assistant message if that API does.

      It listens on 127.0.0.1 and prints its URL as the first line. Delays are milliseconds, or a
      distribution: lognormal:MEDIAN:SIGMA, pareto:MINIMUM:ALPHA.

      Faults can be switched while it runs:
        curl -X PUT http://127.0.0.1:PORT/faults -d '{"stall_at_token":3}'
        curl -X PUT http://127.0.0.1:PORT/faults -d '{}'            (works again)
        curl -X PUT http://127.0.0.1:PORT/faults \\
          -d '{"random":["drop","stall","busy"],"probability":0.2}'
      The requests that it received are reported by:
        curl http://127.0.0.1:PORT/counts
        curl http://127.0.0.1:PORT/records                          (request by request)

      `hostile` selects a row of the hostile mode for every answer; a request for the model
      hostile/NAME selects it for one answer. The rows are listed by:
        curl http://127.0.0.1:PORT/hostile

      Faults: \(FaultyHostFaults.names.sorted().joined(separator: ", "))
      """)

  @Option(help: "Port on 127.0.0.1; 0 takes a free one.")
  var port = 0

  @Option(help: "A model it offers. May be repeated.")
  var model: [String] = []

  @Option(help: "The text it answers with.")
  var answer = "The quick brown fox jumps over the lazy dog."

  @Option(
    help: "A JSON file of answers: {\"MARKER OR MODEL\": \"text\", …}. Instead of --answer.")
  var corpus: String?

  @Option(help: "How it treats a trailing assistant message: trailing, flag or none.")
  var prefill = FaultyHostPrefill.trailing.rawValue

  private static let dialects = HostDialect.allCases.map(\.rawValue).joined(separator: ", ")

  @Option(help: "The only API it has, one of \(Self.dialects). Default: all of them.")
  var dialect: String?

  @Flag(help: "Answer with the body of the request instead.")
  var echo = false

  @Option(help: "Cut the answer into pieces of that many characters instead of words.")
  var tokenCharacters: Int?

  @Option(help: "Cut the answer by seed into pieces of one to that many code points.")
  var tokenLongest: Int?

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
    guard FaultyHostPrefill(rawValue: prefill) != nil else {
      throw ValidationError("--prefill \(prefill) is not one of trailing, flag and none")
    }
    guard dialect.map({ HostDialect(rawValue: $0) != nil }) ?? true else {
      throw ValidationError("--dialect is not one of \(Self.dialects)")
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

  private func chosenAnswer() throws -> FaultyHostConfiguration.Answer {
    guard let corpus else { return echo ? .echo : .text(answer) }
    let data = try Data(contentsOf: URL(fileURLWithPath: corpus))
    guard let texts = try? JSONDecoder().decode([String: String].self, from: data) else {
      throw ValidationError("--corpus \(corpus) is not a JSON object of texts")
    }
    return .corpus(FaultyHostCorpus(texts.mapValues { FaultyHostReply($0) }))
  }

  func run() async throws {
    let host = FaultyHost(
      FaultyHostConfiguration(
        models: model.isEmpty ? ["faulty-model"] : model, answer: try chosenAnswer(),
        tokens: tokenLongest.map { .seeded(seed, longest: $0) }
          ?? tokenCharacters.map { .characters($0) } ?? .words,
        dialect: dialect.flatMap(HostDialect.init(rawValue:)),
        prefill: FaultyHostPrefill(rawValue: prefill) ?? .trailing,
        firstToken: firstTokenMs.distribution, interToken: interTokenMs.distribution, seed: seed,
        faults: try parsedFaults(), port: port))
    try await host.start()
    // Bypass stdio's buffer, because the parent process waits for this line.
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
