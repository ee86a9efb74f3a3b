/// HTTP endpoint for inference, the same at the gateway and at hosts.
public enum InferenceEndpoint: String, CaseIterable, Sendable {
  case chatCompletions = "/v1/chat/completions"
  case completions = "/v1/completions"
  case embeddings = "/v1/embeddings"
}
