import ArgumentParser
import ClusterModel
import CommandLineCore

/// Properties of a host, for `tutti hosts add` and `tutti hosts set`.
struct HostPropertyOptions: ParsableArguments {
  @Option(help: "Requests that the host may get: \(choices(of: DataPolicy.self)) ones.")
  var trust: String?
  @Option(help: "community (default), or fallback: asked only if no other host answers in time.")
  var tier: String?
  @Option(
    help: ArgumentHelp(
      "Price in credits per million tokens: of prompts and answers, as 0.15/0.6, one price for both, "
        + "or free. Default: free without a credential, otherwise not stated.",
      valueName: "in/out"))
  var price: String?
  @Option(
    help: ArgumentHelp(
      "Requests that the host answers at once. Default: as it reports.", valueName: "n"))
  var slots: Int?
  @Option(
    name: .customLong("tag"),
    help: ArgumentHelp(
      "A host pool that the host belongs to; keys can be limited to pools. May be repeated.",
      valueName: "name"))
  var tags: [String] = []
  @Option(help: ArgumentHelp("Where the host is.", valueName: "name"))
  var region: String?
  @Option(help: "API that the host speaks: auto (default), \(choices(of: HostDialect.self)).")
  var dialect: String?
  @Option(help: "Where the host's secret is: env:NAME or file:/path. Default: no secret.")
  var credential: String?
  @Flag(
    name: .customLong("allow-plain-http"),
    help: "Send the credential to another machine over http:, without encryption.")
  var allowPlainHTTP = false
  @Option(
    help: ArgumentHelp(
      "How the host resumes an answer: auto (default), continue_final_message (vLLM), "
        + "trailing_assistant (llama.cpp, Ollama) or instruct (any).", valueName: "way"))
  var resume: String?
  @Option(
    name: .customLong("model"),
    help: ArgumentHelp(
      "A model that the host offers. May be repeated. Default: the models that it lists.",
      valueName: "name"))
  var models: [String] = []

  var options: HostOptions {
    var options = HostOptions()
    options.trust = trust
    options.tier = tier
    options.price = price
    options.slots = slots
    options.dialect = dialect
    options.resume = resume
    options.credential = credential
    options.allowsPlainHTTP = allowPlainHTTP
    options.models = models
    options.tags = tags
    options.region = region
    return options
  }
}

/// How long a command waits for a probe of a host.
struct HostWaitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Wait for the probe at most this long, 0–15. With 0, the exit status is 0 in every state of the "
        + "host.", valueName: "seconds"))
  var wait = 10

  /// The longest wait is below the time limit of a request.
  func validate() throws {
    guard (0...15).contains(wait) else {
      throw ValidationError("--wait: \(wait) is not a number of seconds from 0 to 15")
    }
  }

  var duration: Duration { .seconds(wait) }
}

/// The raw values of an enumeration for a sentence: "a, b or c".
func choices<Choice: CaseIterable & RawRepresentable<String>>(of _: Choice.Type) -> String {
  let names = Choice.allCases.map(\.rawValue)
  guard names.count > 1, let last = names.last else { return names.joined() }
  return "\(names.dropLast().joined(separator: ", ")) or \(last)"
}
