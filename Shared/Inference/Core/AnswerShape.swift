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
  /// Tokens that the answer may have. nil: as many as the host likes.
  public var maximumTokens: Int?
  /// The client is told the usage, by a chunk or in the one body.
  public var wantsUsage = false
  /// Four bytes a token, JSON included: for hosts that do not tell.
  public var promptTokens = 0

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
    maximumTokens = ["max_completion_tokens", "max_tokens", "n_predict"].lazy
      .compactMap { scanner[$0].flatMap(document.integer) }.first { $0 > 0 }
    let asksUsage = scanner["stream_options"].flatMap { document.value("include_usage", in: $0) }
    wantsUsage =
      asksUsage.flatMap(document.boolean) == true
      || scanner["stream"].flatMap(document.boolean) != true
    promptTokens = body.count / TokenTally.bytesPerToken
  }

  /// nil: another host can go on with such an answer. Else why not.
  public var obstacle: String? {
    if choices > 1 { return "it has \(choices) choices (n), which no host can go on with" }
    if hasLogprobs { return "it carries logprobs, which another host cannot go on with" }
    return nil
  }
}
