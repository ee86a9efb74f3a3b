import Text

/// What a request asks of its answer, as far as joining two hosts' words depends on it.
public struct AnswerShape: Hashable, Sendable {
  /// More stop sequences than OpenAI allows (4) are kept, but no flood of them.
  private static let maximumStops = 16

  /// How many choices.
  public var choices = 1
  public var hasLogprobs = false
  /// Texts that end the answer.
  public var stop: [[UInt8]] = []
  /// The answer must be JSON.
  public var wantsJSON = false
  public var maximumTokens: Int?

  public init() {}

  /// Reads the client's body; one that is no JSON object asks for nothing special.
  public init(body: [UInt8]) {
    guard let scanner = try? JSONObjectScanner(body) else { return }
    let document = scanner.document
    choices = max(
      scanner["n"].flatMap(document.integer) ?? 1, scanner["best_of"].flatMap(document.integer) ?? 1
    )
    if let logprobs = scanner["logprobs"] {
      hasLogprobs = document.boolean(logprobs) ?? (logprobs.kind == .number)
    }
    if let value = scanner["stop"] {
      let values = value.kind == .array ? document.elements(of: value) : [value]
      stop = values.prefix(Self.maximumStops).compactMap(document.string).map { Array($0.utf8) }
        .filter { !$0.isEmpty }
    }
    if let format = scanner["response_format"], let type = document.value("type", in: format) {
      wantsJSON = ["json_object", "json_schema"].contains(document.string(type) ?? "")
    }
    maximumTokens =
      (scanner["max_completion_tokens"] ?? scanner["max_tokens"]).flatMap(document.integer)
  }

  /// nil: another host can go on with such an answer. Else why not.
  public var obstacle: String? {
    if choices > 1 { return "it has \(choices) choices (n), which no host can go on with" }
    if hasLogprobs { return "it carries logprobs, which another host cannot go on with" }
    return nil
  }
}
