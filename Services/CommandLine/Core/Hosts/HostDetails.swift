/// A host as the registry's admin API shows it, with all its members.
///
/// Names are text: a newer registry may know states and dialects that this command does not know.
public struct HostDetails: Decodable, Hashable, Sendable {
  public struct Model: Decodable, Hashable, Sendable {
    public let id: String
    /// `nil` means that the host does not report it.
    public let contextTokens: Int?

    enum CodingKeys: String, CodingKey {
      case id
      case contextTokens = "context_tokens"
    }
  }

  public struct Load: Decodable, Hashable, Sendable {
    public let inFlight: Int

    enum CodingKeys: String, CodingKey { case inFlight = "in_flight" }
  }

  public let id: String
  public let url: String
  public let state: String
  public let reason: String?
  public let dialect: String?
  public let resume: String?
  public let credential: String?
  public let tier: String?
  public let trust: String?
  public let tags: [String]?
  public let region: String?
  public let slots: Int?
  public let pricePerMillion: Int?
  public let version: String?
  public let probeMilliseconds: Int?
  public let models: [Model]?
  /// `nil` means that no process has reported yet.
  public let load: Load?

  enum CodingKeys: String, CodingKey {
    case id, url, state, reason, dialect, resume, credential, tier, trust, tags, region, slots
    case version, models, load
    case pricePerMillion = "price_per_million"
    case probeMilliseconds = "probe_ms"
  }

  /// Requests at the host, of all processes.
  public var inFlight: Int { load?.inFlight ?? 0 }

  /// All facts about the host for people, one in each line.
  public var lines: [String] {
    func named(_ names: [String]?) -> String {
      guard let names, !names.isEmpty else { return "none" }
      return names.joined(separator: ", ")
    }
    var table = TextTable([("host", .left), (TextTable.printable(id), .left)])
    table.append(["url", url])
    let reason = reason.flatMap { $0.isEmpty ? nil : " (\($0))" } ?? ""
    table.append(["state", state + reason])
    table.append(["tags", named(tags)])
    table.append(["region", region ?? "none"])
    table.append(["tier", tier ?? "-"])
    table.append(["trust", trust ?? "-"])
    table.append(["price per million", pricePerMillion.map { "\($0)" } ?? "-"])
    table.append(["slots", slots.map { "\($0)" } ?? "not reported"])
    table.append(["in flight", load.map { "\($0.inFlight)" } ?? "-"])
    table.append(["dialect", dialect ?? "-"])
    table.append(["resume", resume ?? "-"])
    table.append(["credential", credential ?? "none"])
    table.append(["version", version ?? "not reported"])
    table.append(["probe ms", probeMilliseconds.map { "\($0)" } ?? "-"])
    table.append(["models", named(models?.map(\.id))])
    return table.lines
  }
}
