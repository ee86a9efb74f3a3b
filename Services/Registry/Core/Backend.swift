public import ClusterModel

/// The server software behind a host, as far as it makes a difference.
public enum Backend: Hashable, Sendable {
  case llamaCpp, vLLM, lmStudio, llamaFarm, ollama, anthropic, other

  public var dialect: HostDialect {
    switch self {
    case .ollama: .ollama
    case .anthropic: .anthropic
    case .llamaCpp, .vLLM, .lmStudio, .llamaFarm, .other: .openai
    }
  }

  public var resume: ResumeWay {
    switch self {
    case .vLLM: .continueFinalMessage
    // The adapter knows which of Anthropic's models take a prefix.
    case .llamaCpp, .ollama, .anthropic: .trailingAssistant
    // LM Studio and LlamaFarm put a last assistant message through the chat template and begin anew.
    case .lmStudio, .llamaFarm, .other: .instruct
    }
  }

  /// For servers that tell no version.
  public var name: String? {
    switch self {
    case .llamaCpp: "llama.cpp"
    case .vLLM: "vLLM"
    case .lmStudio: "LM Studio"
    case .llamaFarm: "LlamaFarm"
    case .ollama: "Ollama"
    case .anthropic: "Anthropic API"
    case .other: nil
    }
  }
}

/// `GET /v1/models`, and what it gives away about the server.
public struct ModelListing: Decodable {
  public struct Entry: Decodable {
    public var id: String
    public var ownedBy: String?
    /// vLLM.
    public var maxModelLen: Int?
    /// Anthropic's entries have one.
    public var type: String?
    /// Every other server's have one.
    public var object: String?

    public init(id: String) { self.id = id }

    enum CodingKeys: String, CodingKey {
      case id, type, object
      case ownedBy = "owned_by"
      case maxModelLen = "max_model_len"
    }
  }

  public var entries: [Entry]

  enum CodingKeys: String, CodingKey { case entries = "data" }

  public func offers(contextTokens: Int?) -> [ModelOffer] {
    entries.map { entry in
      let tokens = (entry.maxModelLen ?? contextTokens).flatMap { $0 > 0 ? $0 : nil }
      return ModelOffer(id: ModelID(entry.id), contextTokens: tokens.map(Usage.bounded))
    }
  }

  /// - Parameter server: the header of that name.
  public func backend(server: String) -> Backend {
    if server.cut(toBytes: 64).lowercased().hasPrefix("llama.cpp") { return .llamaCpp }
    guard let first = entries.first else { return .other }
    switch first.ownedBy {
    case "llamacpp": return .llamaCpp
    case "vllm": return .vLLM
    case "organization_owner": return .lmStudio
    case "transformers-runtime": return .llamaFarm
    case nil where first.type == "model" && first.object == nil: return .anthropic
    default: return .other
    }
  }
}

/// llama.cpp's `GET /props`.
public struct LlamaProps: Decodable {
  public struct Generation: Decodable {
    public var contextTokens: Int?
    enum CodingKeys: String, CodingKey { case contextTokens = "n_ctx" }
  }

  public var totalSlots: Int?
  public var buildInfo: String?
  public var generation: Generation?
  public var contextTokens: Int? { generation?.contextTokens }

  enum CodingKeys: String, CodingKey {
    case totalSlots = "total_slots"
    case buildInfo = "build_info"
    case generation = "default_generation_settings"
  }
}

public struct ServerVersion: Decodable {
  public var version: String?
}

/// Ollama's `GET /api/tags`.
public struct OllamaTags: Decodable {
  public struct Model: Decodable {
    public var name: String
  }

  public var models: [Model]

  public var listing: ModelListing {
    ModelListing(entries: models.map { ModelListing.Entry(id: $0.name) })
  }
}

/// `{"type": "error", "error": …}`
public struct AnthropicError: Decodable {
  public var type: String?
}
