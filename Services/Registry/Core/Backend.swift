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

/// `{"type": "error", "error": …}`
public struct AnthropicError: Decodable {
  public var type: String?
}
