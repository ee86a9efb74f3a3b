import ArgumentParser
import CommandLineCore
import Foundation
import NIOHTTP1

struct PlanCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Show how a question would be answered, without answering it.",
    discussion: """
      The plan is made from the question and the current hosts; no host is asked. The same hosts \
      and the same --seed give the same plan. The last line estimates calls, tokens, credits (with \
      a key) and time (after the first answers). If one call would answer, the reason is printed.

        tutti plan -m tutti/decompose "What is rain? What is wind? What is snow?"
        tutti plan -m tutti/debate --rounds 3 "Is a hot dog a sandwich?"
        tutti plan "First list the planets, then compare them, then write a poem."
        tutti plan -m tutti/maestro --format mermaid "Plan a garden." > garden.mmd
        tutti plan -m tutti/ensemble --format graphviz "Hello" | dot -Tsvg > plan.svg

      \(ModelHelp.table)

      A plan may grow while it runs: a task that says “expands” asks for more tasks when it is done.
      """)

  enum Format: String, CaseIterable, ExpressibleByArgument {
    case text, mermaid, graphviz, json
  }

  @OptionGroup var cluster: ClientOptions

  @Option(
    name: [.customShort("m"), .long], help: "One of the names above, or a model of a host.",
    completion: .tuttiModels)
  var model = "tutti/auto"

  @Option(help: "text: a table. mermaid, graphviz: source of a picture. json: the whole plan.")
  var format = Format.text

  @OptionGroup var pattern: PatternOptions

  @OptionGroup var question: QuestionOptions

  /// The gateway's answer.
  private struct Preview: Decodable {
    let text: String
    let mermaid: String
    let graphviz: String
  }

  func run() async throws {
    let body = AskBody(
      model: model, messages: [.init(role: "user", content: .text(try question.text()))],
      maxTokens: pattern.maxTokens, tutti: try pattern.tutti())
    let client = try await cluster.client()
    let url = client.address.gateway + "/v1/plans"
    let answer = try await client.clientSuccess(
      .POST, url, json: try body.encoded())
    let preview = try answer.decoded(as: Preview.self, from: url)
    let shown: String
    switch format {
    case .text: shown = preview.text
    case .mermaid: shown = preview.mermaid
    case .graphviz: shown = preview.graphviz
    case .json:
      Terminal.json(answer.body)
      return
    }
    Terminal.text(shown.hasSuffix("\n") ? shown : shown + "\n")
  }
}
