import ArgumentParser
import ClusterModel
import CommandLineCore

/// Options of every command that prints answers.
struct AnswerOptions: ParsableArguments {
  @Option(
    name: [.customShort("m"), .long],
    help: "tutti/auto, another of the names above, or a model's name from `tutti status`.",
    completion: .tuttiModels)
  var model = "tutti/auto"

  @Option(help: ArgumentHelp("Instructions that come before the question.", valueName: "text"))
  var system: String?

  @Option(help: "Sampling temperature; 0 gives the same answer again.")
  var temperature: Double?

  @Option(
    help: ArgumentHelp(
      "How many hosts start at the same time: \(choices(of: RaceMode.self)). "
        + "Default: the cluster's setting.", valueName: "mode"),
    completion: .list(RaceMode.allCases.map(\.rawValue)))
  var race: String?

  @Option(
    help: ArgumentHelp(
      "Seconds after which the cluster ends the answer, 1 to 3600. It cannot exceed the cluster's "
        + "own limit.", valueName: "seconds"))
  var deadline: Int?

  @OptionGroup var pattern: PatternOptions

  @Option(help: "Seconds to wait for the whole answer.")
  var timeout = 600

  func validate() throws {
    if timeout < 1 { throw ValidationError("--timeout: \(timeout) is less than 1") }
    if let temperature, !temperature.isFinite {
      throw ValidationError("--temperature: \(temperature) is not a finite number")
    }
    if let race, RaceMode(rawValue: race) == nil {
      throw ValidationError("--race: \(race) is not one of \(choices(of: RaceMode.self))")
    }
    if let deadline, !(1...3_600).contains(deadline) {
      throw ValidationError("--deadline: \(deadline) is not a number of seconds from 1 to 3600")
    }
  }

  /// The options as the `tutti` object of a request, with the contents of the documents.
  func tutti(trace: AskBody.Trace?) throws(ProcessFailure) -> AskBody.Extension {
    var tutti = try pattern.tutti()
    tutti.trace = trace
    tutti.race = race
    tutti.deadlines = deadline.map { AskBody.Deadlines(total: $0 * 1_000) }
    return tutti
  }

  /// The request for a streamed answer.
  func body(
    model: String, _ messages: [AskBody.Message], tutti: AskBody.Extension
  ) -> AskBody {
    AskBody(
      model: model, messages: messages, stream: true, streamOptions: .init(includeUsage: true),
      maxTokens: pattern.maxTokens, temperature: temperature, tutti: tutti)
  }
}
