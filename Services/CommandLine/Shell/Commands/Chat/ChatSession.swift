import ClusterModel
import CommandLineCore
import Foundation
import NIOHTTP1

/// Runs `tutti chat`: reads lines, sends questions and prints answers.
struct ChatSession {
  /// How one question was answered.
  private struct Answer: Sendable {
    var transcript: AskTranscript
    var traceID: String?
    var failure: ProcessFailure?
    /// Whether the user stopped the answer.
    var isStopped = false
  }

  private let terminal = ChatTerminal()
  private let reading: AnswerReading
  private let options: AnswerOptions
  private let tutti: AskBody.Extension
  private var model: String
  private var history: ChatHistory
  private var last: Answer?
  private var firstFailure: ProcessFailure?

  init(
    _ client: ClusterClient, _ options: AnswerOptions, continuing history: ChatHistory
  ) throws(ProcessFailure) {
    reading = AnswerReading(client: client, timeout: options.timeout)
    self.options = options
    tutti = try options.tutti(trace: .summary)
    model = options.model
    self.history = history
    if let system = options.system { self.history.system = system }
  }

  /// Runs until the input ends.
  ///
  /// - Returns: the status of the first failure, or `done` if a person has seen the failures.
  mutating func run() async -> ExitStatus {
    if terminal.isInteractive {
      Terminal.note("model \(model); /help lists the commands, Ctrl-D ends the chat")
    }
    var input = ChatInput()
    while let line = await terminal.line(prompt: input.isInBlock ? "… " : "> ") {
      guard let command = input.take(line) else { continue }
      guard await perform(command) else { return status }
    }
    if let command = input.end() { _ = await perform(command) }
    if terminal.isInteractive { Terminal.note("") }
    return status
  }

  private var status: ExitStatus {
    terminal.isInteractive ? .done : firstFailure?.status ?? .done
  }

  /// Returns whether the chat continues.
  private mutating func perform(_ line: ChatLine) async -> Bool {
    do {
      switch line {
      case .empty: break
      case .question(let question): try await ask(question)
      case .model(let name):
        model = name ?? model
        Terminal.note("model \(model)")
      case .models: try await showModels()
      case .trace:
        guard let last else { throw ProcessFailure(.usage, "there is no answer yet") }
        last.transcript.report(traceID: last.traceID)
      case .save(let path): try save(path)
      case .system(let text):
        history.system = text ?? history.system
        Terminal.note(history.system.isEmpty ? "no instructions" : history.system)
      case .undo:
        guard history.undo() != nil else { throw ProcessFailure(.usage, "there is no turn yet") }
        Terminal.note("removed the last question and its answer")
      case .clear:
        history.clear()
        Terminal.note("a new conversation")
      case .help: for line in ChatLine.helpText.split(separator: "\n") { Terminal.note("\(line)") }
      case .quit: return false
      case .mistake(let message): throw ProcessFailure(.usage, message)
      }
    } catch let failure as ProcessFailure {
      report(failure)
    } catch {
      report(ProcessFailure(.failed, ErrorSentence.problem(error).sentence))
    }
    return true
  }

  private mutating func report(_ failure: ProcessFailure) {
    firstFailure = firstFailure ?? failure
    for line in failure.message.split(separator: "\n") { Terminal.progress(String(line)) }
  }

  // MARK: - Questions

  private mutating func ask(_ question: String) async throws(ProcessFailure) {
    let messages = try history.messages(asking: question).map {
      AskBody.Message(role: $0.role, content: .text($0.content))
    }
    let body = options.body(model: model, messages, tutti: tutti)
    let reading = self.reading
    let answer = await terminal.interruptible { await Self.answer(body, reading) }
    guard let answer else { return }
    last = answer
    let isKept = history.append(
      .init(
        question: question, answer: answer.transcript.text, isCut: !answer.transcript.isComplete))
    if answer.isStopped {
      Terminal.note(
        isKept
          ? "stopped; the text so far stays in the conversation, /undo removes it"
          : "stopped; the question is not kept")
      return
    }
    if let failure = answer.failure { throw failure }
    answer.transcript.reportEnding(maxTokens: options.pattern.maxTokens)
  }

  private static func answer(_ body: AskBody, _ reading: AnswerReading) async -> Answer {
    var transcript = AskTranscript(printsJSON: false)
    do {
      let traceID = try await reading.read(body, into: &transcript)
      return Answer(transcript: transcript, traceID: traceID)
    } catch {
      transcript.endLine()
      if Task.isCancelled { return Answer(transcript: transcript, isStopped: true) }
      return Answer(
        transcript: transcript,
        failure: error as? ProcessFailure
          ?? ProcessFailure(.failed, ErrorSentence.problem(error).sentence))
    }
  }

  private func showModels() async throws {
    struct Model: Decodable { let id: String }
    let url = reading.client.address.gateway + "/v1/models"
    let models = try await reading.client.clientSuccess(.GET, url)
      .decoded(as: ClusterClient.Page<Model>.self, from: url).data
    for model in models { Terminal.note(model.id) }
  }

  // MARK: - Files

  private func save(_ name: String) throws(ProcessFailure) {
    // No shell expands the name.
    let path = NSString(string: name).expandingTildeInPath
    if FileManager.default.fileExists(atPath: path) {
      guard terminal.isInteractive else {
        throw ProcessFailure(.usage, "\(path) exists; choose another name")
      }
      try Terminal.confirm("\(path) exists. Replace it?")
    }
    do {
      try Data(ChatFile.contents(of: history, name: path))
        .write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw ProcessFailure(
        .failed, "\(path) could not be written (\(ErrorSentence.of(file: error)))")
    }
    Terminal.note("saved in \(path)")
  }
}
