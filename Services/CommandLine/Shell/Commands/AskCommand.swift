import ArgumentParser
import ClusterModel
import CommandLineCore

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

        git diff | tutti ask -m tutti/fast "What does this change?"
        tutti ask --system "Answer in one word." --file notes.txt "Who wrote this?"
        tutti ask -m MODEL --image photo.png "What is in this picture?"
        tutti ask --json "Say hello." | tail -n 1
      """)

  @OptionGroup var cluster: ClientOptions
  @OptionGroup var options: AnswerOptions

  @Flag(help: "Print the chunks of the answer as they come, one JSON object a line.")
  var json = false

  @Flag(help: "After the answer, print the host, model and times of each task.")
  var trace = false

  @Flag(help: "Like --trace, and print the output of each task, for example the drafts of members.")
  var traceFull = false

  @Option(
    name: .customLong("image"),
    help: ArgumentHelp(
      "An image to look at, a file (\(ImageType.names)) or a URL, for models that read images. "
        + "May be repeated.", valueName: "file"), completion: .file())
  var images: [String] = []

  @OptionGroup var question: QuestionOptions

  func run() async throws {
    let body = try request()
    let client = try await cluster.client()
    var transcript = AskTranscript(printsJSON: json)
    let traceID = try await AnswerReading(client: client, timeout: options.timeout)
      .read(body, into: &transcript)
    transcript.reportEnding(maxTokens: options.pattern.maxTokens)
    if trace || traceFull { transcript.report(traceID: traceID) }
  }

  private func request() throws(ProcessFailure) -> AskBody {
    let text = try question.text()
    let parts = try ImageFile.parts(images)
    var messages: [AskBody.Message] = []
    if let system = options.system {
      messages.append(.init(role: "system", content: .text(system)))
    }
    messages.append(
      .init(role: "user", content: parts.isEmpty ? .text(text) : .parts([.text(text)] + parts)))
    return options.body(
      model: options.model, messages,
      tutti: try options.tutti(trace: traceFull ? .full : trace ? .summary : nil))
  }
}
