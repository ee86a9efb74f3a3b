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
    // Some of Anthropic's models do not accept a trailing assistant message. The adapter knows
    // which models do.
    case .llamaCpp, .ollama, .anthropic: .trailingAssistant
    // LM Studio and LlamaFarm do not continue a last assistant message. They apply the chat
    // template to it and begin a new answer.
    case .lmStudio, .llamaFarm, .other: .instruct
    }
  }

  /// Name that stands for the version if the server reports none. `nil` means unknown software.
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
