import ArgumentParser
import AsyncHTTPClient
import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1
import Text

struct AskCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask",
    abstract: "Ask a question; the answer streams to standard output.",
    discussion: """
      Progress goes to standard error, so the answer can be piped: a tree of the tasks in a \
      terminal, otherwise a line for each step.

        tutti ask "Why is the sky blue?"
        tutti ask -m tutti/ensemble --trace "Why is the sky blue?"
        tutti ask -m tutti/maestro --document report.md "What does it cost?"
        tutti ask -m tutti/debate --members 2 --rounds 1 "Is a hot dog a sandwich?"
        tutti ask -m tutti/ensemble --members 3 --quorum 2 --budget 4000 "Is 91 a prime?"

      \(ModelHelp.table)

      `tutti plan` shows what a pattern would do, `tutti trace` what it did.

        git diff | tutti ask -m tutti/fast -
        tutti ask --json "Say hello." | tail -n 1
      """)

  @OptionGroup var cluster: ClientOptions

  @Option(
    name: [.customShort("m"), .long],
    help: "tutti/auto, another of the names above, or a model's name from `tutti status`.")
  var model = "tutti/auto"

  @Flag(help: "Print the chunks of the answer as they come, one JSON object a line.")
  var json = false

  @Flag(help: "After the answer, print the host, model and times of each task.")
  var trace = false

  @Flag(help: "Like --trace, and print the output of each task, for example the drafts of members.")
  var traceFull = false

  @Option(help: "Sampling temperature; 0 gives the same answer again.")
  var temperature: Double?

  @OptionGroup var pattern: PatternOptions

  @Option(help: "Seconds to wait for the whole answer.")
  var timeout = 600

  @Argument(help: "The question; - reads it from standard input.")
  var prompt: String

  func validate() throws {
    if timeout < 1 { throw ValidationError("--timeout: \(timeout) is less than 1") }
    if let temperature, !temperature.isFinite {
      throw ValidationError("--temperature: \(temperature) is not a finite number")
    }
  }

  func run() async throws {
    let body = try question()
    let client = try await cluster.client()
    let url = client.address.gateway + "/v1/chat/completions"
    let deadline = ContinuousClock.now.advanced(by: .seconds(timeout))
    let response = try await client.open(
      .POST, url, token: client.clientKey?.revealed, json: try JSONEncoder().encode(body),
      timeout: .seconds(Int64(timeout)))
    guard response.status == .ok else {
      var body = Data()
      do {
        // A Tutti service sends one sentence as an error, so a body above 1 MiB comes from other
        // software.
        body = Data(try await response.body.collect(upTo: 1 << 20).readableBytesView)
      } catch {
        body = Data()
      }
      throw client.clientFailure(status: Int(response.status.code), body: body, url: url)
    }
    var transcript = AskTranscript(printsJSON: json)
    do {
      try await follow(response.body, &transcript, until: deadline)
    } catch let failure as ProcessFailure {
      transcript.endLine()
      throw failure
    } catch {
      transcript.endLine()
      throw ProcessFailure(
        .failed, "the answer of \(url) broke off (\(ErrorSentence.problem(error).sentence))")
    }
    transcript.endLine()
    guard transcript.isComplete else {
      throw ProcessFailure(.failed, "the answer was cut off; ask again")
    }
    transcript.reportEnding(maxTokens: pattern.maxTokens)
    if trace || traceFull {
      transcript.report(traceID: response.headers.first(name: "x-tutti-trace"))
    }
  }

  /// Reads the answer to its end, and redraws the progress meanwhile.
  private func follow(
    _ body: HTTPClientResponse.Body, _ transcript: inout AskTranscript,
    until deadline: ContinuousClock.Instant
  ) async throws {
    enum Signal {
      case bytes(ByteBuffer)
      case tick
      case broke(any Error)
      case overdue
    }
    let (signals, source) = AsyncStream<Signal>.makeStream()
    let isLive = transcript.isLive
    try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      group.addTask {
        do {
          for try await buffer in body { source.yield(.bytes(buffer)) }
        } catch {
          source.yield(.broke(error))
        }
        source.finish()
      }
      group.addTask {
        if (try? await Task.sleep(until: deadline, clock: .continuous)) != nil {
          source.yield(.overdue)
        }
      }
      if isLive {
        group.addTask {
          while (try? await Task.sleep(for: ProgressTree.frame)) != nil { source.yield(.tick) }
        }
      }
      var events = SSESplitter(keepsComments: true)
      for await signal in signals {
        switch signal {
        case .tick: transcript.tick()
        case .broke(let error): throw error
        case .overdue:
          throw ProcessFailure(
            .tryLater, "the answer was not complete within \(timeout) s; allow more with --timeout")
        case .bytes(let buffer):
          let complete: [SSEEvent]
          do throws(SSESplitter.TooLarge) {
            complete = try events.append(buffer.readableBytesView)
          } catch {
            throw ProcessFailure(
              .failed, "the server sent an event of more than \(error.limit >> 20) MiB")
          }
          for event in complete { try transcript.take(event) }
        }
      }
    }
  }

  private func question() throws(ProcessFailure) -> AskBody {
    var tutti = try pattern.tutti()
    if trace || traceFull { tutti.trace = traceFull ? .full : .summary }
    return AskBody(
      model: model, messages: [.init(role: "user", content: try Question.text(prompt))],
      stream: true, streamOptions: .init(includeUsage: true), maxTokens: pattern.maxTokens,
      temperature: temperature, tutti: tutti)
  }
}
