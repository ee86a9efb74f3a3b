import ClusterModel

/// Purpose of a request to a faulty host.
enum FaultyHostPurpose: Hashable, Sendable {
  case chat
  /// Text that continues a prompt.
  case completion
  case embeddings
  /// The list of models.
  case listing
  case version

  /// Whether the answer is a text, token by token.
  var isText: Bool {
    switch self {
    case .chat, .completion: true
    case .embeddings, .listing, .version: false
    }
  }

  /// Whether the request needs a model.
  var runsModel: Bool {
    switch self {
    case .chat, .completion, .embeddings: true
    case .listing, .version: false
    }
  }
}

/// The dialects as a faulty host plays them.
///
/// Written after the public documentation of each API, without the product's adapters, so that a
/// mistake in an adapter shows. Each property is a switch over all dialects.
extension HostDialect {
  /// The purpose of a request by this API. `nil` means that the API has no such path.
  func purpose(_ method: String, _ path: String) -> FaultyHostPurpose? {
    switch self {
    case .openai:
      switch (method, path) {
      case ("GET", "/v1/models"): .listing
      case ("POST", "/v1/chat/completions"): .chat
      case ("POST", "/v1/completions"): .completion
      case ("POST", "/v1/embeddings"): .embeddings
      default: nil
      }
    case .anthropic:
      switch (method, path) {
      case ("GET", "/v1/models"): .listing
      case ("POST", "/v1/messages"): .chat
      default: nil
      }
    case .ollama:
      switch (method, path) {
      case ("GET", "/api/tags"): .listing
      case ("GET", "/api/version"): .version
      case ("POST", "/api/chat"): .chat
      case ("POST", "/api/embed"): .embeddings
      default: nil
      }
    }
  }

  /// Whether a request to this path needs a model, by any API.
  static func runsModel(_ path: String) -> Bool {
    !allCases.contains { $0.purpose("GET", path)?.runsModel == false }
  }

  /// The APIs that a server of this dialect has.
  var served: [HostDialect] {
    switch self {
    case .openai: [.openai]
    case .anthropic: [.anthropic]
    case .ollama: [.ollama, .openai]
    }
  }

  /// The API that a request uses, among those that have its path. `nil` means that none has it.
  static func of(_ request: FaultyHostRequest, among dialects: [HostDialect]) -> HostDialect? {
    let possible = dialects.filter { $0.purpose(request.method, request.path) != nil }
    return possible.first { $0.isNamed(by: request.headers) } ?? possible.first
  }

  /// Whether headers show that a request uses this API, for a path that several APIs have.
  private func isNamed(by headers: [String: String]) -> Bool {
    switch self {
    case .anthropic: headers["anthropic-version"] != nil
    case .openai, .ollama: false
    }
  }

  /// The error about a header that the API requires. `nil` means that none is missing.
  func complaint(about headers: [String: String]) -> String? {
    switch self {
    case .anthropic:
      headers["anthropic-version"] == nil ? "anthropic-version: header is required" : nil
    case .openai, .ollama: nil
    }
  }

  /// Whether a request shows the secret in the way of this API.
  func shows(_ secret: String, in headers: [String: String]) -> Bool {
    switch self {
    case .openai, .ollama: headers["authorization"] == "Bearer \(secret)"
    case .anthropic: headers["x-api-key"] == secret
    }
  }

  /// Whether an answer is a stream if the request does not choose.
  var streamsByDefault: Bool {
    switch self {
    case .openai, .anthropic: false
    case .ollama: true
    }
  }

  /// Whether an answer continues a trailing assistant message.
  ///
  /// - Parameter isFlagged: whether the request has vLLM's flag.
  func continues(_ prefill: FaultyHostPrefill, isFlagged: Bool) -> Bool {
    switch self {
    case .openai:
      switch prefill {
      case .trailing: true
      case .flag: isFlagged
      case .none: false
      }
    case .anthropic, .ollama: true
    }
  }

  /// The error about a model that the host does not have. `nil` means that the API accepts any
  /// model, as llama.cpp does.
  func complaint(aboutUnknown model: String) -> String? {
    switch self {
    case .openai: nil
    case .anthropic: "model: \(model)"
    case .ollama: "model '\(model)' not found"
    }
  }

  // MARK: - Answers

  func voice(_ lines: FaultyHostLines, _ purpose: FaultyHostPurpose) -> any FaultyHostVoice {
    switch self {
    case .openai: FaultyHostOpenAI(lines, isChat: purpose != .completion)
    case .anthropic: FaultyHostAnthropic(lines)
    case .ollama: FaultyHostOllama(lines)
    }
  }

  func error(_ message: String, status: Int) -> [UInt8] {
    switch self {
    case .openai: FaultyHostOpenAI.error(message, status: status)
    case .anthropic: FaultyHostAnthropic.error(message, status: status)
    case .ollama: FaultyHostOllama.error(message, status: status)
    }
  }

  func listing(of models: [String], contextTokens: Int?) -> [UInt8] {
    switch self {
    case .openai: FaultyHostOpenAI.models(models, contextTokens: contextTokens)
    case .anthropic: FaultyHostAnthropic.models(models)
    case .ollama: FaultyHostOllama.tags(models)
    }
  }

  /// `nil` means that the API does not report a version.
  var version: [UInt8]? {
    switch self {
    case .openai, .anthropic: nil
    case .ollama: FaultyHostOllama.version
    }
  }

  /// `nil` means that the API has no embeddings.
  func embeddings(model: String, _ vectors: [String]) -> [UInt8]? {
    switch self {
    case .openai: FaultyHostOpenAI.embeddings(model: model, vectors)
    case .anthropic: nil
    case .ollama: FaultyHostOllama.embeddings(model: model, vectors)
    }
  }

  /// The answer to a chat without messages. `nil` means that the API has no special answer.
  func answerWithoutMessages(model: String, body: [UInt8]) -> [UInt8]? {
    switch self {
    case .openai, .anthropic: nil
    case .ollama: FaultyHostOllama.loaded(model: model, body: body)
    }
  }
}
