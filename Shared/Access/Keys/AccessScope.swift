/// Part of the API that a key may use.
public enum AccessScope: String, Codable, CaseIterable, Sendable {
  case chat, embeddings, plans, metrics, logs
  case adminRead = "admin:read"
  case adminWrite = "admin:write"
}
