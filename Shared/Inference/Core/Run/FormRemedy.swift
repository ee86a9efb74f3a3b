import Text

/// Decides which additions to remove from a request after a host has refused it.
///
/// Sources of the phrases: OpenAI, Azure, vLLM, llama.cpp, SGLang, TGI, Mistral, Gemini, DeepSeek,
/// Anthropic, LiteLLM, and servers that check requests with Pydantic (2024–2026).
enum FormRemedy {
  /// A change to the request before it is sent to the same host again.
  struct Change: Hashable, Sendable {
    var form: RequestForm
    /// Whether the change is a guess, because the refusal names no member.
    var isBlind = false
    /// Whether only this request needs the change. Other requests may do without it.
    var isForPrompt = false
  }

  /// - Parameters:
  ///   - left: changes that would undo additions by Tutti and have not been made yet.
  ///   - isSure: whether only additions that the refusal names are removed. Set if another part of
  ///     the request may be at fault.
  /// - Returns: the change. `nil` means that the failure is not about an addition that is left.
  static func change(
    after failure: AttemptFailure, left: RequestForm, isSure: Bool = false
  ) -> Change? {
    guard !left.isEmpty else { return nil }
    var change = Change(form: [])
    switch failure.kind {
    case .rejected, .status:
      guard let refusal = failure.refusal, mayConcernForm(refusal.status) else { return nil }
      change.form = named(by: refusal, left) ?? found(in: refusal.words, left)
      if !mostlyConcernsForm(refusal.status), !complains(refusal.words) { return nil }
      if change.form.isEmpty, !isSure, refusal.named.allSatisfy(vagueNames.contains),
        mayBeBlind(refusal)
      {
        change = Change(form: blind(left), isBlind: true)
      }
      change.isForPrompt = companions.contains(where: refusal.words.contains)
    case .contextTooSmall:
      guard let refusal = failure.refusal else { return nil }
      change = Change(form: limit(tooLarge: refusal, left), isForPrompt: true)
    case .errorEvent where complains(failure.message.lowercased()):
      change.form = found(in: failure.message.lowercased(), left)
    default: return nil
    }
    return change.form.isEmpty ? nil : change
  }

  /// - Returns: the changes for the members that the host names. `nil` means that it names no
  ///   member. Empty means that no change that is left concerns the named members.
  private static func named(
    by refusal: UpstreamRefusal, _ left: RequestForm
  ) -> RequestForm? {
    let named = refusal.named.filter { !vagueNames.contains($0) }
    guard !named.isEmpty else { return nil }
    var meant: RequestForm = []
    for name in named { meant.formUnion(changes(naming: name)) }
    if named.contains(where: { $0.hasPrefix("messages") }) {
      meant.formUnion(changes(of: refusal.words).intersection(.foldedSystem))
    }
    return chosen(meant, left, refusal.words)
  }

  private static func found(in words: String, _ left: RequestForm) -> RequestForm {
    chosen(changes(of: words), left, words)
  }

  /// The change for a request that exceeds the context.
  ///
  /// Hosts count the prompt and the maximum length of the answer together. So a maximum length that
  /// Tutti added may be the cause.
  private static func limit(
    tooLarge refusal: UpstreamRefusal, _ left: RequestForm
  ) -> RequestForm {
    let words = ["completion", "max_tokens", "max tokens", "output"]
    guard words.contains(where: refusal.words.contains) else { return [] }
    return left.intersection(.withoutLimit)
  }

  private static func mayConcernForm(_ status: Int) -> Bool {
    switch status {
    // Some servers return 500 for an exception in a chat template.
    case 400, 403, 405, 406, 415, 422, 424, 500, 501: true
    default: false
    }
  }

  private static func mostlyConcernsForm(_ status: Int) -> Bool {
    status != 500 && status != 403 && status != 424
  }

  /// Whether the message rejects a feature and does not report a fault.
  private static func complains(_ words: String) -> Bool {
    [
      "not support", "unsupported", "not available", "unavailable", "not allowed", "not permitted",
      "not enabled", "not implemented", "forbid", "disabled", "cannot", "must", "unknown",
      "unexpected", "unrecognized", "invalid", "only", "template", "jinja",
    ].contains { words.contains($0) }
  }

  // MARK: - Members named by a refusal

  /// Members that some hosts refuse only together with an addition.
  private static let companions = [
    "logprobs", "best_of", "tool", "function call", "audio", "modalities", "echo",
  ]

  private static let vagueNames: Set<String> = [
    "", "body", "request", "root", "__root__", "none", "null", "params", "parameters",
  ]

  private static let usageNames = [
    "stream_options", "stream options", "streamoptions", "include_usage", "includeusage",
  ]
  private static let formatNames = [
    "response_format", "response format", "responseformat", "response_schema", "response schema",
    "responseschema", "json_schema", "json schema", "json_object", "json mode", "structured output",
    "additionalproperties", "guided_json", "guided decoding", "grammar",
  ]
  private static let limitNames = [
    "max_tokens", "max tokens", "maxtokens", "max_completion_tokens", "max_output_tokens",
    "maxoutputtokens",
  ]
  private static let systemNames = [
    "system role", "role system", "role: system", "role 'system", "'system'", "\"system\"",
    "`system`", "system message", "system instruction", "system prompt", "got system",
    "developer instruction", "developer message", "'developer'", "roles must alternate",
  ]

  /// - Parameter name: a member of the request, or the path of a nested member, in lower case.
  private static func changes(naming name: String) -> RequestForm {
    if name.hasPrefix("messages") { return name.hasSuffix("role") ? .foldedSystem : [] }
    let form = changes(of: name)
    return name == "system" ? form.union(.foldedSystem) : form
  }

  /// - Parameter words: the host's message in lower case.
  private static func changes(of words: String) -> RequestForm {
    let before = beforeSupported(words)
    let form = changes(in: before)
    return form.isEmpty && before.utf8.count < words.utf8.count ? changes(in: words) : form
  }

  private static func changes(in words: String) -> RequestForm {
    func speaks(of names: [String]) -> Bool { names.contains { words.contains($0) } }
    var form: RequestForm = []
    var rest = words
    if speaks(of: usageNames) {
      form.insert(.withoutUsageOption)
      for name in usageNames { rest = rest.replacing(name, with: " ") }
    }
    // Compares the beginnings of words, so that "upstream" does not match.
    if wordList(rest).contains(where: { $0.starts(with: "stream".utf8) }) {
      form.insert(.unstreamed)
    }
    if words.contains("temperature") { form.insert(.withoutTemperature) }
    if speaks(of: ["top_p", "topp", "top-p", "nucleus"]) { form.insert(.withoutTopP) }
    if isWord("seed", in: words) { form.insert(.withoutSeed) }
    if speaks(of: formatNames) { form.insert(.withoutFormat) }
    if speaks(of: limitNames) { form.formUnion([.newLimitName, .withoutLimit]) }
    if speaks(of: systemNames) { form.insert(.foldedSystem) }
    return form
  }

  /// The part of a message before its list of supported members. Members in such a list are not at
  /// fault.
  private static func beforeSupported(_ words: String) -> String {
    let lists = [
      " supported parameters", " supported params", " supported fields", " allowed parameters",
      " allowed fields", " valid parameters", " valid fields", " accepted parameters",
      " accepted fields", " expected one of", " permitted fields",
    ]
    var before = words[...]
    for list in lists {
      if let found = before.firstRange(of: list) { before = before[..<found.lowerBound] }
    }
    return String(before)
  }

  private static func isWord(_ word: String, in text: String) -> Bool {
    wordList(text).contains { $0.elementsEqual(word.utf8) }
  }

  private static func wordList(_ text: String) -> [Substring.UTF8View] {
    text.utf8.split { !isLetter($0) }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || byte == UInt8(ascii: "_")
  }

  // MARK: - Selection of changes

  private static let sizeWords = [
    "too large", "too big", "too high", "at most", "exceed", "less than", "maximum value",
    "maximum allowed", "greater than",
  ]

  private static func chosen(
    _ meant: RequestForm, _ left: RequestForm, _ words: String
  ) -> RequestForm {
    var form = meant.intersection(left)
    // It is enough to remove either the temperature or `top_p`. The temperature stays, because an
    // agent's role depends more on it.
    if form.isSuperset(of: [.withoutTemperature, .withoutTopP]) {
      form.remove(.withoutTemperature)
    }
    if form.contains(.newLimitName) {
      // If the limit is too large, a new name for the same limit does not help.
      let isSize = sizeWords.contains { words.contains($0) } && form.contains(.withoutLimit)
      form.remove(isSize ? .newLimitName : .withoutLimit)
    }
    return form
  }

  /// Whether a refusal that names no member may still be about an addition.
  private static func mayBeBlind(_ refusal: UpstreamRefusal) -> Bool {
    switch refusal.status {
    case 400, 405, 406, 415, 422, 501: break
    default: return false
    }
    let others = [
      "content_filter", "content filter", "content_policy", "content policy", "moderation",
      "safety",
      "billing", "quota", "credit", "api key", "api_key", "image", "audio", "tool",
    ]
    return !others.contains { refusal.words.contains($0) }
  }

  /// The additions to leave out next if the host did not name the addition that it refuses.
  ///
  /// Additions that hosts refuse most often are left out first. Additions that a task needs most
  /// are left out last.
  private static func blind(_ left: RequestForm) -> RequestForm {
    // If Tutti added only members about delivery, as to most requests of clients, all of them are
    // left out together.
    guard !left.subtracting(.delivery).isEmpty else { return left }
    let rounds: [RequestForm] = [
      [
        .withoutUsageOption, .withoutTemperature, .withoutTopP, .withoutSeed, .withoutFormat,
      ],
      [.newLimitName, .foldedSystem, .unstreamed], .withoutLimit,
    ]
    return rounds.lazy.map { $0.intersection(left) }.first { !$0.isEmpty } ?? []
  }
}
