import ArgumentParser
import AsyncHTTPClient
import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1

struct AskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask",
    abstract: "Ask a question; the answer streams to standard output.",
    discussion: """
      What happens meanwhile goes to standard error, so the answer can be piped.

        tutti ask "Why is the sky blue?"
        tutti ask -m tutti/ensemble --trace "Why is the sky blue?"
        git diff | tutti ask -m tutti/fast -
        tutti ask --json "Say hello." | tail -n 1
      """)

  @OptionGroup var cluster: ClusterOptions

  @Option(
    name: [.customShort("m"), .long],
    help: "tutti/fast, tutti/ensemble, or a model's name from `tutti status`.")
  var model = "tutti/fast"

  @Flag(help: "Print the chunks of the answer as they come, one JSON object a line.")
  var json = false

  @Flag(help: "Print who did what, and how fast, when the answer is there.")
  var trace = false

  @Option(help: "The longest answer, in tokens.")
  var maxTokens: Int?

  @Option(help: "Sampling temperature; 0 gives the same answer again.")
  var temperature: Double?

  @Option(help: "Seconds to wait for the whole answer.")
  var timeout = 600

  @Argument(help: "The question; - reads it from standard input.")
  var prompt: String

  func validate() throws {
    if let maxTokens, maxTokens < 1 {
      throw ValidationError("--max-tokens: \(maxTokens) is less than 1")
    }
    if timeout < 1 { throw ValidationError("--timeout: \(timeout) is less than 1") }
  }

  /// A question longer than this is refused by the gateway anyway.
  private static let longestPrompt = 10 << 20

  func run() async throws {
    let text = try prompt == "-" ? Self.standardInput() : prompt
    guard !text.allSatisfy(\.isWhitespace) else {
      throw CommandFailure(.usage, "the question is empty; say what to ask")
    }
    let client = try cluster.client()
    let url = client.address.gateway + "/v1/chat/completions"
    let response = try await client.open(
      .POST, url, token: client.apiKey, json: try JSONEncoder().encode(question(text)),
      timeout: .seconds(Int64(timeout)))
    guard response.status == .ok else {
      var body = Data()
      do {
        // An error is a sentence; whatever is longer is not one of ours.
        body = Data(try await response.body.collect(upTo: 1 << 20).readableBytesView)
      } catch {
        body = Data()
      }
      throw ClusterClient.failure(status: Int(response.status.code), body: body, url: url)
    }
    var transcript = AskTranscript(printsJSON: json)
    var stream = EventStream()
    do {
      for try await buffer in response.body {
        for item in try stream.append(buffer.readableBytesView) { try transcript.take(item) }
      }
    } catch let failure as CommandFailure {
      transcript.endLine()
      throw failure
    } catch {
      transcript.endLine()
      throw CommandFailure(.failed, "the connection to \(url) broke (\(error))")
    }
    transcript.endLine()
    guard transcript.isComplete else {
      throw CommandFailure(.failed, "the answer was cut off; ask again")
    }
    if trace { transcript.report(traceID: response.headers.first(name: "x-tutti-trace")) }
  }

  private func question(_ text: String) -> AskBody {
    AskBody(
      model: model, messages: [.init(role: "user", content: text)], stream: true,
      streamOptions: .init(includeUsage: true), maxTokens: maxTokens, temperature: temperature,
      tutti: trace ? .init(trace: true) : nil)
  }

  private static func standardInput() throws(CommandFailure) -> String {
    let data: Data
    do {
      data = try FileHandle.standardInput.read(upToCount: longestPrompt + 1) ?? Data()
    } catch {
      throw CommandFailure(.failed, "standard input cannot be read (\(error))")
    }
    guard data.count <= longestPrompt else {
      throw CommandFailure(.usage, "the question on standard input is longer than 10 MiB")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw CommandFailure(.usage, "the question on standard input is not UTF-8 text")
    }
    return text
  }
}

/// The request of `tutti ask`.
struct AskBody: Encodable {
  struct Message: Encodable {
    let role: String
    let content: String
  }
  struct StreamOptions: Encodable {
    let includeUsage: Bool
    enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
  }
  struct Extension: Encodable {
    let trace: Bool
  }

  let model: String
  let messages: [Message]
  let stream: Bool
  let streamOptions: StreamOptions
  let maxTokens: Int?
  let temperature: Double?
  let tutti: Extension?

  enum CodingKeys: String, CodingKey {
    case model, messages, stream, temperature, tutti
    case streamOptions = "stream_options"
    case maxTokens = "max_tokens"
  }
}
