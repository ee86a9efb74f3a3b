public import ClusterModel

/// The server software of a host, as far as it affects requests.
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
    // Not all of Anthropic's models accept a trailing assistant message; the adapter knows which.
    case .llamaCpp, .ollama, .anthropic: .trailingAssistant
    // LM Studio and LlamaFarm apply the chat template to a last assistant message and begin a new
    // answer.
    case .lmStudio, .llamaFarm, .other: .instruct
    }
  }

  /// Name of a server that reports no version.
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

/// Response of llama.cpp's `GET /props`.
public struct LlamaProps: Decodable {
  struct Generation: Decodable {
    var contextTokens: Int?
    enum CodingKeys: String, CodingKey { case contextTokens = "n_ctx" }
  }

  public var totalSlots: Int?
  public var buildInfo: String?
  var generation: Generation?
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

/// Error body of Anthropic's API: `{"type": "error", "error": …}`.
public struct AnthropicError: Decodable {
  public var type: String?
}
