/// A host as the registry's admin API shows it.
///
/// States and dialects are text, because a newer registry may have some that this command does not
/// know.
public struct HostDetails: Decodable, Hashable, Sendable {
  public struct Model: Decodable, Hashable, Sendable {
    public let id: String
    /// Length of the context. `nil` means that the host does not report it.
    let contextTokens: Int?
    /// The host's own model if `id` is an alias; otherwise `nil`.
    let aliasOf: String?

    enum CodingKeys: String, CodingKey {
      case id
      case contextTokens = "context_tokens"
      case aliasOf = "alias_of"
    }
  }

  /// Traffic of a host, as the processes reported it.
  public struct Load: Codable, Hashable, Sendable {
    let inFlight: Int
    /// 95th percentile of first-token latencies, in ms. `nil` means that none was measured.
    let firstTokenP95: Int?
    /// Number of processes whose breaker for the host admits no request.
    let openBreakers: Int?

    enum CodingKeys: String, CodingKey {
      case inFlight = "in_flight"
      case firstTokenP95 = "first_token_p95_ms"
      case openBreakers = "open_breakers"
    }
  }

  /// Settings that an admin made. Each replaces a value that the host would report.
  struct Configured: Decodable, Hashable, Sendable {
    let dialect: String?
    let resume: String?
    let slots: Int?
    let models: [String]
  }

  public let id: String
  public let url: String
  public let state: String
  public let reason: String?
  public let dialect: String?
  let resume: String?
  let credential: String?
  let tier: String?
  let trust: String?
  public let tags: [String]?
  let region: String?
  let slots: Int?
  /// Credits per million tokens of the prompt, in decimal digits. `nil` means that no admin stated
  /// a price.
  let inputPrice: String?
  /// Credits per million tokens of the answer, in decimal digits.
  let outputPrice: String?
  let version: String?
  let probeMilliseconds: Int?
  /// Time until the next probe. `nil` means that a probe is under way, that the host is suspended,
  /// or that the registry is older.
  let nextProbeMilliseconds: Int?
  public let models: [Model]?
  /// Traffic of the host. `nil` means that no process has reported any yet.
  public let load: Load?
  /// Settings that an admin made. `nil` means that the registry is older and does not return them.
  let configured: Configured?

  enum CodingKeys: String, CodingKey {
    case id, url, state, reason, dialect, resume, credential, tier, trust, tags, region, slots
    case version, models, load, configured
    case inputPrice = "price_input"
    case outputPrice = "price_output"
    case probeMilliseconds = "probe_ms"
    case nextProbeMilliseconds = "next_probe_ms"
  }

  /// Number of requests that all processes together have at the host.
  public var inFlight: Int { load?.inFlight ?? 0 }

  /// Whether the host may cost something, and no admin stated a price.
  var hasUnknownPrice: Bool { credential != nil && (inputPrice == nil || outputPrice == nil) }

  /// The host's price in credits per million tokens: prompt, then answer.
  private var price: String {
    if hasUnknownPrice { return "not stated" }
    guard let inputPrice, let outputPrice, inputPrice != "0" || outputPrice != "0" else {
      return "free"
    }
    return "\(inputPrice)/\(outputPrice)"
  }

  /// Table of hosts for people. It has columns of prices and tags if any host has some.
  public static func table(_ hosts: [HostDetails]) -> TextTable {
    let hasPrices = hosts.contains { $0.price != "free" }
    let hasTags = hosts.contains { $0.tags?.isEmpty == false }
    var columns: [(title: String, alignment: TextTable.Alignment)] = [
      ("host", .left), ("url", .left), ("dialect", .left), ("state", .left),
      ("breaker", .left), ("in flight", .right), ("first-token p95 ms", .right),
    ]
    if hasPrices { columns.append(("price", .right)) }
    if hasTags { columns.append(("tags", .left)) }
    columns += [("models", .left), ("reason", .left)]
    var table = TextTable(columns)
    for host in hosts {
      var cells = [host.id, host.url, host.dialect ?? "", host.state] + host.traffic
      if hasPrices { cells.append(host.price) }
      if hasTags { cells.append(host.tags.flatMap(Self.list) ?? "-") }
      cells.append(host.models.flatMap { Self.list($0.map(\.id)) } ?? "")
      cells.append(host.reason ?? "")
      table.append(cells)
    }
    return table
  }

  /// Cells for the breaker, the requests in flight and the first-token latency.
  private var traffic: [String] {
    let open = load?.openBreakers ?? 0
    // Each process has its own breaker.
    let breaker = open == 0 ? "closed" : "open at \(open)"
    return [
      breaker, load.map { "\($0.inFlight)" } ?? "-", load?.firstTokenP95.map { "\($0)" } ?? "-",
    ]
  }

  /// `nil` means that there are no names.
  private static func list(_ names: [String]) -> String? {
    names.isEmpty ? nil : names.joined(separator: ", ")
  }

  /// Facts about the host for people, one in each line.
  public var lines: [String] {
    func named(_ names: [String]?) -> String { names.flatMap(Self.list) ?? "none" }
    func set(_ value: String, _ isSet: Bool?) -> String { isSet == true ? "\(value) (set)" : value }
    var table = TextTable([("host", .left), (TextTable.printable(id), .left)])
    table.append(["url", url])
    let reason = reason.flatMap { $0.isEmpty ? nil : " (\($0))" } ?? ""
    table.append(["state", state + reason])
    table.append(["tags", named(tags)])
    table.append(["region", region ?? "none"])
    table.append(["tier", tier ?? "-"])
    table.append(["trust", trust ?? "-"])
    table.append(["price per million", price])
    table.append([
      "slots", set(slots.map { "\($0)" } ?? "not reported", configured.map { $0.slots != nil }),
    ])
    table.append(["in flight", load.map { "\($0.inFlight)" } ?? "-"])
    table.append(["dialect", set(dialect ?? "-", configured.map { $0.dialect != nil })])
    table.append(["resume", set(resume ?? "-", configured.map { $0.resume != nil })])
    table.append(["credential", credential ?? "none"])
    table.append(["version", version ?? "not reported"])
    table.append(["probe ms", probeMilliseconds.map { "\($0)" } ?? "-"])
    table.append(["next probe ms", nextProbeMilliseconds.map { "\($0)" } ?? "-"])
    table.append([
      "models", set(named(models?.map(\.id)), configured.map { !$0.models.isEmpty }),
    ])
    return table.lines
  }
}
