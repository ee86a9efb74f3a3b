import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation

struct ChatCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a model; each question has the conversation so far.",
    discussion: """
      Type a question and press Enter. /help lists the commands, for example /model, /save and \
      /undo. Ctrl-C stops an answer and not the chat; Ctrl-D ends the chat.

        tutti chat
        tutti chat -m tutti/ensemble --system "Answer in one sentence."
        tutti chat --continue talk.json
        tutti chat < questions.txt > answers.txt

      \(ModelHelp.table)

      Without a terminal, each line is a question or a command, and the exit status is that of the \
      first failure.
      """)

  @OptionGroup var cluster: ClientOptions
  @OptionGroup var options: AnswerOptions

  @Option(
    name: .customLong("continue"),
    help: ArgumentHelp(
      "Continue the conversation of a file that /save FILE.json wrote.", valueName: "file"),
    completion: .file(extensions: ["json"]))
  var continued: String?

  func run() async throws {
    let history = try continued.map(Self.history) ?? ChatHistory()
    var session = try ChatSession(await cluster.client(), options, continuing: history)
    let status = await session.run()
    if status != .done { Foundation.exit(status.rawValue) }
  }

  private static func history(_ path: String) throws(ProcessFailure) -> ChatHistory {
    // In JSON, an escaped character has up to six bytes.
    let data = try TextFile.bytes(path, atMost: 6 * ChatHistory.maximumBytes, "--continue")
    return try ChatFile.history(json: Array(data), name: "--continue: \(path)")
  }
}
