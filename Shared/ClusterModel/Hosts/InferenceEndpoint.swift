/// HTTP endpoint for inference: the gateway's path, and the path at hosts of the dialect `openai`.
public enum InferenceEndpoint: String, CaseIterable, Sendable {
  case chatCompletions = "/v1/chat/completions"
  case completions = "/v1/completions"
  case embeddings = "/v1/embeddings"
}
