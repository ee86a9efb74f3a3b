import ClusterModel
import CommandLineCore
import Foundation
import Text

/// Prints a gateway's answer as it arrives.
/// Text goes to standard output and progress to standard error. Facts for the final table are kept.
struct AskTranscript {
  /// The members of a chunk that this command uses. Other members are ignored.
  struct Chunk: Decodable {
    struct Choice: Decodable {
      struct Delta: Decodable { let content: String? }
      let delta: Delta?
    }
    struct Problem: Decodable {
      let message: String
      let code: String?

      enum CodingKeys: CodingKey { case message, code }

      init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        message = try members.decode(String.self, forKey: .message)
        // Some hosts send a number as the code, which is ignored.
        code = try? members.decode(String.self, forKey: .code)
      }

      /// The command's exit status for this error. An HTTP error of the same kind, before the
      /// stream, has the same status.
      var exit: ExitStatus {
        switch code {
        case Failure.Code.overloaded.rawValue, Failure.Code.rateLimited.rawValue: .tryLater
        case Failure.Code.noEligibleHost.rawValue: .unavailable
        default: .failed
        }
      }
    }
    let choices: [Choice]?
    let error: Problem?
    let tutti: Execution?
  }

  /// The `tutti` extension of the last chunk, which describes how the answer was made.
  struct Execution: Decodable {
    struct Task: Decodable {
      let id: String
      let role: String?
      let host: String?
      let model: String?
      let status: String?
      let firstTokenMilliseconds: Int?
      let totalMilliseconds: Int?
      let tokens: Int?
      let output: String?

      enum CodingKeys: String, CodingKey {
        case id, role, host, model, status, tokens, output
        case firstTokenMilliseconds = "first_token_ms"
        case totalMilliseconds = "total_ms"
      }
    }
    let traceID: String?
    let pattern: String?
    let tasks: [Task]?
    enum CodingKeys: String, CodingKey {
      case pattern, tasks
      case traceID = "trace_id"
    }
  }

  let printsJSON: Bool
  /// Draws the plan's progress in place. `nil` means that progress is printed as lines.
  private var live: LiveProgress?
  private var execution: Execution?
  private var output = AnswerOutput(Terminal.arrangement)
  /// Whether `data: [DONE]` has arrived. An answer without it was cut off.
  private(set) var isComplete = false

  init(printsJSON: Bool) {
    self.printsJSON = printsJSON
    live = Terminal.canDraw ? LiveProgress() : nil
  }

  /// Whether the caller must call `tick` while nothing arrives.
  var isLive: Bool { live != nil }

  /// Redraws the progress.
  mutating func tick() { live?.redraw() }

  mutating func take(_ event: SSEEvent) throws(ProcessFailure) {
    if event.name == SSESplitter.commentName { return step(event.data) }
    guard !event.data.elementsEqual("[DONE]".utf8) else {
      isComplete = true
      return
    }
    guard let chunk = try? JSONDecoder().decode(Chunk.self, from: Data(event.data)) else {
      throw ProcessFailure(.failed, "the gateway sent a chunk that is not JSON")
    }
    if let problem = chunk.error {
      throw ProcessFailure(problem.exit, TextTable.printable(problem.message))
    }
    execution = chunk.tutti ?? execution
    if printsJSON {
      live?.yield()
      Terminal.json(event.data)
    } else if let text = chunk.choices?.first?.delta?.content, !text.isEmpty {
      live?.yield()
      write(output.append(text))
    }
  }

  /// Ends the unfinished line and prints the progress that waited for its end.
  mutating func endLine() {
    live?.erase()
    write(output.end())
  }

  private func write(_ pieces: [AnswerOutput.Piece]) {
    for piece in pieces {
      switch piece {
      case .answer(let text): Terminal.write(text, to: 1)
      case .progress(let line): Terminal.progress(line)
      case .lineBreak: Terminal.note("")
      }
    }
  }

  private mutating func step(_ text: [UInt8]) {
    let prefix = Array("tutti ".utf8)
    guard text.starts(with: prefix) else { return }
    let json = Data(text.dropFirst(prefix.count))
    let steps =
      (try? JSONDecoder().decode([ProgressStep].self, from: json))
      ?? (try? JSONDecoder().decode(ProgressStep.self, from: json)).map { [$0] } ?? []
    guard !steps.isEmpty else { return }
    if live != nil {
      live?.take(steps)
      return
    }
    write(output.report(steps.map(\.line)))
  }

  /// Prints the outputs of tasks, if the answer has them, and the table of tasks.
  func report(traceID: String?) {
    var table = TextTable([
      ("task", .left), ("agent role", .left), ("host", .left), ("model", .left),
      ("first-token ms", .right), ("tokens", .right), ("ms", .right), ("status", .left),
    ])
    for task in execution?.tasks ?? [] {
      table.append([
        task.id, task.role ?? "-", task.host ?? "-", task.model ?? "-",
        task.firstTokenMilliseconds.map(String.init) ?? "-",
        task.tokens.map(String.init) ?? "-",
        task.totalMilliseconds.map(String.init) ?? "-", task.status ?? "-",
      ])
    }
    for task in execution?.tasks ?? [] {
      guard let output = task.output else { continue }
      Terminal.note("")
      Terminal.note("\(task.id) (\(task.model ?? "no model")):")
      Terminal.write(TerminalText.visible(output) + "\n", to: 2)
    }
    Terminal.note("")
    for line in table.lines { Terminal.note(line) }
    if let id = execution?.traceID ?? traceID {
      Terminal.note("pattern \(execution?.pattern ?? "-"), trace \(id)")
    }
  }
}
