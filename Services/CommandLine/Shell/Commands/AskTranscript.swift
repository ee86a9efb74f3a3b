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
      let finishReason: String?

      enum CodingKeys: String, CodingKey {
        case delta
        case finishReason = "finish_reason"
      }

      init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        delta = try members.decodeIfPresent(Delta.self, forKey: .delta)
        // Hosts send odd values here, and the answer does not depend on them.
        finishReason = try? members.decode(String.self, forKey: .finishReason)
      }
    }
    struct Usage: Decodable {
      let completionTokens: Int?

      enum CodingKeys: String, CodingKey { case completionTokens = "completion_tokens" }

      init(from decoder: any Decoder) throws {
        let members = try? decoder.container(keyedBy: CodingKeys.self)
        completionTokens = try? members?.decode(Int.self, forKey: .completionTokens)
      }
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
        case Failure.Code.overloaded.rawValue, Failure.Code.rateLimited.rawValue,
          Failure.Code.budgetHeld.rawValue:
          .tryLater
        case Failure.Code.noEligibleHost.rawValue: .unavailable
        default: .failed
        }
      }
    }
    let choices: [Choice]?
    let error: Problem?
    let usage: Usage?
    let tutti: ExecutionReport?
  }

  let printsJSON: Bool
  /// Draws the plan's progress in place. `nil` means that progress is printed as lines.
  private var live: LiveProgress?
  private var execution: ExecutionReport?
  private var ending = AnswerEnding()
  /// The answer so far, at most `maximumTextBytes`.
  private(set) var text = ""
  private var isTextFull = false
  private var output = AnswerOutput(Terminal.arrangement)
  /// Whether `data: [DONE]` has arrived. An answer without it was cut off.
  private(set) var isComplete = false

  /// Maximum bytes of `text`. It is more than any model writes.
  private static let maximumTextBytes = 4 << 20

  /// Why the answer ended. `nil` means that it has not ended, or that the host gave no reason.
  var finishReason: String? { ending.finishReason }

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
      throw ProcessFailure(
        problem.exit, TextTable.printable(ServerWords.withCommands(problem.message)))
    }
    execution = chunk.tutti ?? execution
    ending.hasRepetition = execution?.hasRepetition ?? false
    ending.completionTokens = chunk.usage?.completionTokens ?? ending.completionTokens
    ending.finishReason = chunk.choices?.first?.finishReason ?? ending.finishReason
    let content = chunk.choices?.first?.delta?.content ?? ""
    isTextFull = isTextFull || text.utf8.count + content.utf8.count > Self.maximumTextBytes
    if !isTextFull { text += content }
    if printsJSON {
      live?.yield()
      Terminal.json(event.data)
    } else if !content.isEmpty {
      live?.yield()
      write(output.append(content))
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
    for step in steps { ending.record(step) }
    if live != nil {
      live?.take(steps)
      return
    }
    write(output.report(steps.map(\.line)))
  }

  /// Prints what is unexpected about the end of the answer: that it was cut, or that another task's
  /// text stands in for it.
  /// - Parameter maxTokens: the client's own limit of the answer. `nil` means that it set none.
  func reportEnding(maxTokens: Int?) {
    for line in ending.lines(maxTokens: maxTokens) { Terminal.progress(line) }
  }

  /// Prints the outputs of tasks, if the answer has them, and the table of tasks.
  func report(traceID: String?) {
    for task in execution?.tasks ?? [] {
      guard let output = task.output else { continue }
      Terminal.note("")
      Terminal.note("\(task.id) (\(task.model ?? "no model")):")
      Terminal.write(TerminalText.visible(output) + "\n", to: 2)
    }
    Terminal.note("")
    for line in execution?.lines(traceID: traceID) ?? [] { Terminal.note(line) }
    if execution == nil, let traceID { Terminal.note("trace \(traceID)") }
  }
}
