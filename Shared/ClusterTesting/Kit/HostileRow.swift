public import ClusterModel

/// One way in which a host tries to harm a gateway or a registry.
///
/// A `FaultyHost` plays a row for every request of the row's target while its fault `hostile` names
/// the row. Without this fault, it plays the row `NAME` for requests for the model `hostile/NAME`.
public struct HostileRow: Sendable, CustomStringConvertible {
  /// The kind of request that gets the harmful response.
  public enum Target: String, Codable, Sendable {
    case answer
    /// The list of models, or Ollama's tags.
    case listing
    case version
  }

  /// The client that a row needs.
  public struct Client: Codable, Hashable, Sendable {
    public var path = "/v1/chat/completions"
    public var stream = true
    /// Deadline of the first token. With a deadline, a gateway requests a stream even if the client
    /// does not.
    public var firstTokenMilliseconds: Int?
    /// Number of concurrent clients.
    var clients = 1
    /// Whether the clients read the answer.
    var reads = true
    /// Number of requests of each client, in sequence.
    public var times = 1
    /// Whether a good host offers the model too.
    public var isShared = false

    enum CodingKeys: String, CodingKey {
      case path, stream, clients, reads, times
      case firstTokenMilliseconds = "first_token_ms"
      case isShared = "is_shared"
    }
  }

  public let name: String
  /// Description of the harm.
  let harm: String
  public var dialect = HostDialect.openai
  public var target = Target.answer
  public var client = Client()
  let first: @Sendable () -> HostileScript
  /// The script of the second host, which resumes the answer; `nil` means one host.
  let second: (@Sendable () -> HostileScript)?

  public var needsTwoHosts: Bool { second != nil }
  public var model: String { Self.prefix + name }
  public var description: String { name }

  static let prefix = "hostile/"

  public static let all: [HostileRow] =
    hops + floods + shapes + texts + bodies + heads + ollama + anthropic + probes

  static func named(_ name: String) -> HostileRow? { byName[name] }

  private static let byName = Dictionary(
    all.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

  func script(isSecond: Bool) -> HostileScript {
    if isSecond, let second { return second() }
    return first()
  }

  // MARK: - Factories

  static func stream(
    _ name: String, _ harm: String, _ first: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    HostileRow(
      name: name, harm: harm, first: { HostileScript(first()) }, second: nil)
  }

  /// A row in which the client requests no stream, and the gateway requests one and assembles the
  /// body.
  static func assembled(
    _ name: String, _ harm: String, _ first: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    var row = stream(name, harm, first)
    row.client.stream = false
    row.client.firstTokenMilliseconds = 20_000
    return row
  }

  /// A row in which the gateway requests no stream, and the host sends a body.
  static func body(
    _ name: String, _ harm: String, _ first: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    var row = HostileRow(
      name: name, harm: harm, first: { .body(first()) }, second: nil)
    row.client.stream = false
    return row
  }

  /// A row in which one host breaks off, and another resumes.
  static func hop(
    _ name: String, _ harm: String, _ first: @escaping @Sendable () -> [HostileScript.Part],
    then second: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    var row = HostileRow(
      name: name, harm: harm, first: { HostileScript(first(), ending: .cut) },
      // The second host is delayed, so that the first host wins a race.
      second: { HostileScript([.pause(milliseconds: 300)] + second()) })
    row.client.times = 4
    return row
  }

  static func script(
    _ name: String, _ harm: String, _ first: @escaping @Sendable () -> HostileScript
  ) -> HostileRow {
    HostileRow(name: name, harm: harm, first: first, second: nil)
  }
}

/// A row as JSON, for a test harness in another language.
struct HostileRowLine: Encodable {
  let name: String
  let harm: String
  let dialect: HostDialect
  let target: HostileRow.Target
  let hosts: Int
  let client: HostileRow.Client

  init(_ row: HostileRow) {
    name = row.name
    harm = row.harm
    dialect = row.dialect
    target = row.target
    hosts = row.needsTwoHosts ? 2 : 1
    client = row.client
  }
}

extension FaultyHostFaults {
  /// The row to play for a request; `nil` means none.
  func hostileRow(for question: FaultyHostQuestion) -> HostileRow? {
    let target: HostileRow.Target =
      switch question.purpose {
      case .listing: .listing
      case .version: .version
      case .chat, .completion, .embeddings: .answer
      }
    let asked = question.model.flatMap { model in
      model.hasPrefix(HostileRow.prefix) ? String(model.dropFirst(HostileRow.prefix.count)) : nil
    }
    guard let name = hostile ?? asked, let row = HostileRow.named(name), row.target == target
    else { return nil }
    return row
  }
}
