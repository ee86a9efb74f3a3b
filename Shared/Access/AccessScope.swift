/// What a key may do.
public enum AccessScope: String, Codable, CaseIterable, Sendable {
  case chat, embeddings, plans, metrics, logs
  case adminRead = "admin:read"
  case adminWrite = "admin:write"
}
