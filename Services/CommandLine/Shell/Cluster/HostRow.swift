/// A host as the registry's admin API shows it.
struct HostRow: Decodable {
  struct Model: Decodable {
    let id: String
  }

  let id: String
  let url: String
  let state: String
  let dialect: String?
  let reason: String?
  let models: [Model]?
  let slots: Int?
  let version: String?
  let load: Load?

  /// Traffic of a host, as the processes reported it.
  struct Load: Codable {
    let inFlight: Int
    let firstTokenP95: Int?
    let openBreakers: Int

    enum CodingKeys: String, CodingKey {
      case inFlight = "in_flight"
      case firstTokenP95 = "first_token_p95_ms"
      case openBreakers = "open_breakers"
    }
  }
}
