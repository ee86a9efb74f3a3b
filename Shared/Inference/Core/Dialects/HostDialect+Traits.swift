public import ClusterModel

/// Properties of dialects on which code outside their adapters and readers depends.
///
/// Each property is a switch over all dialects. Other code reads a property and compares no
/// dialects, so that the compiler lists every place that a new dialect concerns.
extension HostDialect {
  /// Headers by which a host recognises the version of its API and the sender.
  ///
  /// - Parameter secret: `nil` means that the host needs no secret.
  public func headers(secret: String?) -> [UpstreamRequest.Header] {
    switch self {
    case .openai, .ollama:
      guard let secret else { return [] }
      return [UpstreamRequest.Header("authorization", "Bearer \(secret)")]
    case .anthropic:
      let version = UpstreamRequest.Header("anthropic-version", AnthropicAdapter.version)
      guard let secret else { return [version] }
      return [version, UpstreamRequest.Header("x-api-key", secret)]
    }
  }

  /// Lower-case prefixes of answer headers that clients of this API read. Hosts of other dialects
  /// may send them, too: a cloud with two APIs sends the same headers for both.
  public var passedHeaders: [String] {
    switch self {
    case .openai: ["openai-"]
    case .anthropic: ["anthropic-ratelimit-"]
    case .ollama: []
    }
  }

  /// Whether the paths of a host may begin without `/v1`.
  public var mayOmitV1: Bool {
    switch self {
    case .openai: true
    case .anthropic, .ollama: false
    }
  }

  /// Whether every request can be expressed in the dialect, so that no trial translation is needed.
  var expressesEveryRequest: Bool {
    switch self {
    case .openai: true
    case .anthropic, .ollama: false
    }
  }

  /// Whether Tutti chooses how an answer is sent: as a stream or a body, with usage or without. The
  /// choice is `RequestForm.delivery`, which only `OpenAIAdapter` follows.
  func followsDelivery(at endpoint: InferenceEndpoint) -> Bool {
    switch self {
    case .openai: true
    case .anthropic: false
    case .ollama: endpoint == .completions
    }
  }

  /// Whether a host may send a stream of OpenAI's events although a body was requested.
  var mayStreamUnasked: Bool {
    switch self {
    case .openai: true
    case .anthropic, .ollama: false
    }
  }
}
