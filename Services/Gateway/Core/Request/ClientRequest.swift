public import ClusterModel
import Limits
import Text

/// Maximum sizes of a `ClientRequest` and its members.
public struct RequestLimits: Hashable, Sendable {
  /// 12 MiB are room for 10 MB of documents, a long conversation, and their JSON.
  public static let bodyBytes = 12 << 20
  /// 4 MiB of conversation are a million tokens, which is more than most models read.
  public static let messagesBytes = 4 << 20
  static let messages = 10_000
  /// A longer name is a mistake, and would only fill logs and labels.
  static let modelBytes = 256
  /// Maximum bytes of the last user message that the planner receives.
  public static let queryBytes = 64 << 10
  /// Maximum bytes of `ClientRequest.affinity`. Conversations with the same bytes begin alike, so a
  /// host's prompt cache helps.
  public static let affinityBytes = 1_024
}

/// A client's request. The gateway checks the members that the cluster must understand. The backend
/// gets all other members unread and judges them.
public struct ClientRequest: Sendable {
  /// The endpoint that received the request.
  public let endpoint: InferenceEndpoint
  /// The body, byte for byte.
  public let body: [UInt8]
  public let model: ModelID
  public let stream: Bool
  /// Whether the client wants a chunk with the usage at the end of its stream.
  public let includeUsage: Bool
  let choices: Int
  public let maxTokens: Int?
  /// The body's own limits on the tokens of an answer.
  let statedLimits: StatedLimits
  /// Total number of answers. Each prompt has `n` of them, or `best_of` if that is larger.
  let answers: Int
  /// Estimated tokens of the prompt: one for every four bytes, JSON included, a fixed number for
  /// each picture or sound, and the overhead of a chat template. 0 means that the client set no
  /// budget.
  let promptTokens: Int
  /// The member that requests token probabilities. `nil` means none.
  let logprobsOption: String?
  /// Text of the last user message, cut to `RequestLimits.queryBytes`. It is empty if there is no
  /// such message.
  public let query: String
  /// Estimated tokens of the conversation. A token has four bytes, which is usual for English. In a
  /// long conversation, each picture or sound counts as a fixed number of tokens.
  let conversationTokens: Int
  /// Ranges of the conversation's members in the body. A direct answer needs no copy of these
  /// members.
  private let conversationRanges: ConversationRanges
  /// First bytes that all turns of a conversation share: its messages through the first message of
  /// the user, cut to `RequestLimits.affinityBytes`. A host that served an earlier turn may have
  /// them cached. `nil` means that there are no messages.
  public let affinity: [UInt8]?
  public let options: TuttiOptions
  /// Whether the request wants JSON or gives tools. The answer then has a fixed form, and no text
  /// may be added.
  public let isStructured: Bool

  /// - Parameters:
  ///   - standard: the model of a request that names none. It does not apply to embeddings.
  ///   - policy: the data policy of a request that states none.
  /// - Throws: a failure that names the invalid member.
  public init(
    parsing body: [UInt8], endpoint: InferenceEndpoint,
    defaultModel standard: ModelID = ModelID(GatewayRouting.fast),
    defaultPolicy policy: DataPolicy = .any
  ) throws(Failure) {
    self.endpoint = endpoint
    self.body = body
    var reader = try RequestReader(body)

    // Vectors of different models cannot be compared, so embeddings have no default model. If there
    // is only one embedding model, routing chooses it.
    model = try reader.model() ?? (endpoint == .embeddings ? ModelID("") : standard)
    let isPlan = GatewayRouting.patterns.contains(model.name)
    switch endpoint {
    case .chatCompletions: try reader.checkMessages()
    case .completions: try reader.require("prompt", [.string, .array])
    case .embeddings: try reader.require("input", [.string, .array])
    }
    stream = reader.boolean("stream") ?? false
    choices = reader.integer("n", in: 1...128) ?? 1
    let limit = reader.limit("max_tokens", isPlan: isPlan)
    maxTokens = reader.limit("max_completion_tokens", isPlan: isPlan) ?? limit
    statedLimits = reader.statedLimits()
    answers = reader.answers(choices)
    logprobsOption = reader.logprobsOption()
    includeUsage = reader.includeUsage()
    reader.check("temperature", [.number])
    reader.check("top_p", [.number])
    reader.check("stop", [.string, .array])
    reader.check("seed", [.number])
    reader.check("tools", [.array])
    reader.check("response_format", [.object])
    isStructured = reader.isStructured()
    var options = TuttiOptions(
      parsing: reader.scanner["tutti"], in: reader.scanner.document, problems: &reader.problems)
    options.defaultPolicy = policy
    self.options = options
    // One host answers a request for tutti/auto with tools, and judges its tool_choice.
    let isDirect =
      model.name == GatewayRouting.auto && isStructured && options.documents.isEmpty
    if isPlan, !isDirect { reader.checkToolContract() }
    if endpoint == .embeddings, stream {
      reader.problems.append(.invalid("stream", "cannot be true: embeddings are not streamed"))
    }
    if let problem = Failure.joined(reader.problems) { throw problem }
    let hasBudget = options.budgetTokens != nil || options.budgetCredits != nil
    promptTokens =
      !hasBudget
      ? 0
      : reader.promptTokens() + (endpoint == .chatCompletions ? TokenEstimate.templateTokens : 0)
    query = reader.query
    affinity = reader.affinity
    conversationRanges = reader.conversation(endpoint)
    conversationTokens = reader.tokens(messages: conversationRanges.messages.count)
  }

  /// Estimated tokens of prompt and answers, for the limits of the client's key. A token has four
  /// bytes, JSON included. When the request ends, the counted tokens replace the estimate. For a
  /// plan, `expectedTokens(of:within:)` replaces it before.
  public var expectedTokens: Int {
    let answer = endpoint == .embeddings ? 0 : maxTokens ?? Self.assumedAnswerTokens
    return (body.count / TokenEstimate.bytesPerToken)
      .addingCapped(answer.multipliedCapped(by: answers))
  }

  /// Estimated tokens of all prompts. A token has four bytes, JSON included. Only pictures and sounds
  /// have a fixed number of tokens each. The estimate is high for English prose, and may be too low
  /// for other scripts, numbers and code.
  var promptBound: Int {
    let other = body.count - conversationRanges.messages.count
    return conversationTokens.addingCapped(TokenEstimate.tokens(bytes: other))
      .addingCapped(endpoint == .chatCompletions ? TokenEstimate.templateTokens : 0)
  }

  /// Tokens assumed for an answer without a limit: those of a long chat answer.
  static let assumedAnswerTokens = 512

  /// The conversation as tasks receive it. It is empty for endpoints other than chat completions.
  public var conversation: Conversation {
    Conversation(
      messagesJSON: Array(body[conversationRanges.messages]),
      parameters: conversationRanges.parameters.map {
        Conversation.Parameter(name: $0.name, json: Array(body[$0.range]))
      })
  }
}

/// Ranges of the conversation's members in a request's body.
private struct ConversationRanges: Sendable {
  var messages = 0..<0
  /// Members that tasks inherit.
  var parameters: [(name: String, range: Range<Int>)] = []
}

/// Reads the members of a request and collects the mistakes in them.
private struct RequestReader {
  let scanner: JSONObjectScanner
  var problems: [Failure] = []
  private(set) var query = ""
  private(set) var affinity: [UInt8]?

  private var document: JSONDocument { scanner.document }

  init(_ body: [UInt8]) throws(Failure) {
    guard !body.isEmpty else {
      throw .inRequest(.invalidRequest, "the body is empty; send a JSON object")
    }
    do {
      scanner = try JSONObjectScanner(body)
    } catch {
      throw .inRequest(.invalidRequest, "the body is not a valid JSON object: \(error)")
    }
    if let twice = scanner.duplicates.first {
      throw .invalid(twice, "is given more than once")
    }
  }

  /// Returns a member's value. A null value counts as absent.
  private func value(_ name: String) -> JSONValue? {
    scanner[name].flatMap { $0.kind == .null ? nil : $0 }
  }

  /// - Returns: `nil` if the model is absent or empty. Some clients send an empty name for a host's
  ///   only model.
  func model() throws(Failure) -> ModelID? {
    guard let value = value("model") else { return nil }
    guard let name = document.string(value) else {
      throw .invalid("model", "must be a string, not \(value.kind.rawValue)")
    }
    guard name.utf8.count <= RequestLimits.modelBytes else {
      throw .invalid("model", "must have at most \(RequestLimits.modelBytes) bytes")
    }
    return name.isEmpty ? nil : ModelID(name)
  }

  /// Reads a limit on the answer's tokens. Hosts interpret numbers below 1 differently, so a direct
  /// request keeps its number. A plan accepts −1, which means no limit.
  /// - Returns: `nil` if this member sets no limit.
  mutating func limit(_ name: String, isPlan: Bool) -> Int? {
    guard let value = value(name) else { return nil }
    let most = Int(Int32.max)
    guard let number = document.integer(value), number <= most, number >= (isPlan ? -1 : -most),
      !isPlan || number != 0
    else {
      problems.append(
        .invalid(
          name,
          isPlan
            ? "must be an integer from 1 to \(most), or -1 for no limit"
            : "must be an integer of at most \(most)"))
      return nil
    }
    return number < 1 ? nil : number
  }

  func statedLimits() -> StatedLimits {
    var limits = StatedLimits(insertion: document.root.range.lowerBound + 1)
    for name in StatedLimits.names {
      guard let value = scanner[name] else { continue }
      limits.insertion = nil
      let limit = document.integer(value).flatMap { $0 >= 0 ? $0 : nil }
      limits.highest = max(limits.highest, limit ?? .max)
    }
    return limits
  }

  func require(_ name: String, _ kinds: [JSONKind]) throws(Failure) {
    guard let value = value(name) else { throw .invalid(name, "is missing") }
    guard kinds.contains(value.kind) else { throw Self.wrongKind(name, value, kinds) }
  }

  mutating func check(_ name: String, _ kinds: [JSONKind]) {
    guard let value = value(name), !kinds.contains(value.kind) else { return }
    problems.append(Self.wrongKind(name, value, kinds))
  }

  mutating func boolean(_ name: String) -> Bool? {
    check(name, [.boolean])
    return value(name).flatMap(document.boolean)
  }

  mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
    guard let value = value(name) else { return nil }
    guard let number = document.integer(value), range.contains(number) else {
      problems.append(
        .invalid(
          name, "must be an integer from \(range.lowerBound) to \(range.upperBound)"))
      return nil
    }
    return number
  }

  mutating func includeUsage() -> Bool {
    check("stream_options", [.object])
    guard let options = value("stream_options"),
      let include = document.value("include_usage", in: options), include.kind != .null
    else { return false }
    if include.kind != .boolean {
      problems.append(Self.wrongKind("stream_options.include_usage", include, [.boolean]))
    }
    return document.boolean(include) ?? false
  }

  /// Counts the answers. Several prompts, or `best_of`, make more answers than `choices`.
  func answers(_ choices: Int) -> Int {
    let best = value("best_of").flatMap(document.integer) ?? 1
    var prompts = 0
    if let prompt = value("prompt"), prompt.kind == .array {
      document.forEachElement(of: prompt) { element in
        prompts += 1
        // An array of numbers is one prompt.
        return element.kind != .number
      }
    }
    return max(choices, min(best, Self.mostAnswers)) * max(1, prompts)
  }

  /// The maximum of `n`.
  private static let mostAnswers = 128

  func promptTokens() -> Int {
    let bytes = ["messages", "prompt", "input", "tools", "functions"].reduce(0) {
      $0 + (value($1)?.range.count ?? 0)
    }
    return tokensWithMedia(bytes)
  }

  /// Minimum bytes of a conversation that is searched for pictures and sounds. In a shorter one,
  /// they hardly change the number of tokens.
  private static let mediaFrom = 4_096

  func tokens(messages bytes: Int) -> Int {
    bytes > Self.mediaFrom ? tokensWithMedia(bytes) : TokenEstimate.tokens(bytes: bytes)
  }

  private func tokensWithMedia(_ bytes: Int) -> Int {
    let media = mediaParts()
    return TokenEstimate.tokens(bytes: bytes - media.bytes)
      + media.count * TokenEstimate.mediaTokens
  }

  /// Number of pictures and sounds in messages, and their bytes, which are not text.
  private func mediaParts() -> (count: Int, bytes: Int) {
    var parts = (count: 0, bytes: 0)
    guard let messages = value("messages") else { return parts }
    document.forEachElement(of: messages) { message in
      guard let content = document.value("content", in: message) else { return true }
      document.forEachElement(of: content) { part in
        if document.value("text", in: part) == nil {
          parts.count += 1
          parts.bytes += part.range.count
        }
        return true
      }
      return true
    }
    return parts
  }

  func logprobsOption() -> String? {
    ["logprobs", "top_logprobs"].first { name in
      guard let value = value(name) else { return false }
      return document.boolean(value) != false && document.integer(value) != 0
    }
  }

  /// Checks whether an answer can have the tool call that the request requires.
  mutating func checkToolContract() {
    let reader = self
    do throws(ToolContract.Mistake) {
      _ = try ToolContract.of { name in
        reader.value(name).map { Array(reader.document.slice($0)) }
      }
    } catch {
      let member = value("tool_choice") == nil ? "function_call" : "tool_choice"
      let tools = member == "tool_choice" ? "tools" : "functions"
      switch error {
      case .noTools:
        problems.append(
          .invalid(member, "requires a call, but `\(tools)` has no function to call"))
      case .unknownTool(let name):
        let shown = name.cut(toBytes: Limits.errorNameBytes.value)
        problems.append(.invalid(member, "names `\(shown)`, which is not in `\(tools)`"))
      }
    }
  }

  func isStructured() -> Bool {
    for name in ["tools", "functions"] {
      if let tools = value(name), document.firstElement(of: tools) != nil { return true }
    }
    guard let format = value("response_format"), format.kind == .object,
      let type = document.value("type", in: format).flatMap(document.string)
    else { return false }
    return type != "text"
  }

  // MARK: - Messages

  mutating func checkMessages() throws(Failure) {
    try require("messages", [.array])
    guard let messages = value("messages") else { return }
    // Pictures and sounds are not text, so only the limit on the body applies to them.
    let most = RequestLimits.messagesBytes
    if messages.range.count > most {
      let text = messages.range.count - mediaParts().bytes
      guard text <= most else {
        throw .inRequest(
          .requestTooLarge,
          "`messages` has \(text) bytes of text; at most \(most) are read", param: "messages")
      }
    }
    var count = 0
    var problem: Failure?
    var lastUser: JSONValue?
    var beginning = messages.range
    document.forEachElement(of: messages) { message in
      if lastUser == nil { beginning = messages.range.lowerBound..<message.range.upperBound }
      count += 1
      guard count <= RequestLimits.messages else {
        problem = .invalid("messages", "has more than \(RequestLimits.messages) elements")
        return false
      }
      problem = check(message, "messages[\(count - 1)]", &lastUser)
      return problem == nil
    }
    if let problem { throw problem }
    guard count > 0 else { throw .invalid("messages", "is empty; send at least one message") }
    affinity = Array(document.bytes[beginning].prefix(RequestLimits.affinityBytes))
    if let lastUser { query = text(ofContent: lastUser).cut(toBytes: RequestLimits.queryBytes) }
  }

  private func check(
    _ message: JSONValue, _ param: String, _ lastUser: inout JSONValue?
  ) -> Failure? {
    guard message.kind == .object else {
      return .invalid(param, "must be an object, not \(message.kind.rawValue)")
    }
    var role: String?
    var content: JSONValue?
    document.forEachMember(of: message) {
      if $0.name == "role" { role = document.string($0.value) ?? "" }
      if $0.name == "content" { content = $0.value }
      return true
    }
    guard let role, !role.isEmpty else {
      return .invalid("\(param).role", "must be a string such as \"user\"")
    }
    if let content {
      guard [.string, .array, .null].contains(content.kind) else {
        return .invalid(
          "\(param).content", "must be a string or an array, not \(content.kind.rawValue)")
      }
      if role == "user" { lastUser = content }
    }
    return nil
  }

  private func text(ofContent content: JSONValue) -> String {
    if let text = document.string(content) { return text }
    var parts: [String] = []
    var bytes = 0
    document.forEachElement(of: content) { part in
      if let text = document.value("text", in: part).flatMap(document.string) {
        parts.append(text)
        bytes += text.utf8.count + 1
      }
      // The query is cut to this length, so more text is not needed.
      return bytes <= RequestLimits.queryBytes
    }
    return parts.joined(separator: "\n")
  }

  /// Members that the gateway handles itself, or that each task of a plan sets.
  private static let notInherited: Set<String> = [
    "model", "messages", "stream", "stream_options", "n", "tutti",
  ]

  func conversation(_ endpoint: InferenceEndpoint) -> ConversationRanges {
    guard endpoint == .chatCompletions, let messages = value("messages") else {
      return ConversationRanges()
    }
    return ConversationRanges(
      messages: messages.range,
      parameters: scanner.members.filter { !Self.notInherited.contains($0.name) }.map {
        (name: $0.name, range: $0.value.range)
      })
  }

  private static func wrongKind(
    _ name: String, _ value: JSONValue, _ kinds: [JSONKind]
  ) -> Failure {
    let wanted = kinds.map(\.rawValue).joined(separator: " or ")
    return .invalid(name, "must be \(wanted), not \(value.kind.rawValue)")
  }
}
