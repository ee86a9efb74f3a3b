import ClusterModel
import Foundation
import Hummingbird
import NIOCore
import RegistryCore

// JSON of the admin API, in both directions.

struct HostJSON: Encodable {
  struct Model: Encodable {
    var id: String
    var contextTokens: Int?

    enum CodingKeys: String, CodingKey {
      case id
      case contextTokens = "context_tokens"
    }
  }

  /// Traffic of the host, as the processes reported it.
  struct Load: Encodable {
    var inFlight: Int
    var firstTokenP50: Int64?
    var firstTokenP95: Int64?
    var tokensPerSecond: Double?
    var slowdown: Double?
    var errorRate: Double
    /// Number of processes whose breaker is open and lets no request through.
    var openBreakers: Int

    init(_ load: HostLoad) {
      inFlight = load.inFlight
      firstTokenP50 = load.firstTokenP50?.wholeMilliseconds
      firstTokenP95 = load.firstTokenP95?.wholeMilliseconds
      tokensPerSecond = load.tokensPerSecond.map { ($0 * 10).rounded() / 10 }
      slowdown = load.slowdown.map { ($0 * 100).rounded() / 100 }
      errorRate = (load.errorRate * 1_000).rounded() / 1_000
      openBreakers = load.openBreakers
    }

    enum CodingKeys: String, CodingKey {
      case inFlight = "in_flight"
      case firstTokenP50 = "first_token_p50_ms"
      case firstTokenP95 = "first_token_p95_ms"
      case tokensPerSecond = "tokens_per_second"
      case slowdown
      case errorRate = "error_rate"
      case openBreakers = "open_breakers"
    }
  }

  private let host: ClusterModel.Host
  private let load: Load?

  /// - Parameter load: `nil` means that no process has reported yet.
  init(_ host: ClusterModel.Host, load: HostLoad?) {
    self.host = host
    self.load = load.map { Load($0) }
  }

  enum CodingKeys: String, CodingKey {
    case object, id, url, dialect, resume, credential, tier, trust, state, reason, models, slots,
      version, load
    case probeMilliseconds = "probe_ms"
    case pricePerMillion = "price_per_million"
  }

  func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode("host", forKey: .object)
    try members.encode(host.id, forKey: .id)
    try members.encode(host.url, forKey: .url)
    try members.encode(host.dialect, forKey: .dialect)
    try members.encode(host.resume, forKey: .resume)
    // The reference to the secret, never the secret.
    try members.encode(host.credential, forKey: .credential)
    try members.encode(host.tier, forKey: .tier)
    try members.encode(host.trust, forKey: .trust)
    try members.encode(host.state, forKey: .state)
    try members.encode(host.reason, forKey: .reason)
    try members.encode(
      host.models.map { Model(id: $0.id.name, contextTokens: $0.contextTokens) }, forKey: .models)
    // `null` and not absent: the host does not report it.
    try members.encode(host.slots, forKey: .slots)
    try members.encode(host.version, forKey: .version)
    try members.encode(host.probeMilliseconds, forKey: .probeMilliseconds)
    try members.encode(host.pricePerMillion, forKey: .pricePerMillion)
    try members.encode(load, forKey: .load)
  }
}

struct PeerJSON: Encodable {
  var name: String
  var incarnation: String
  var service: String
  var version: String
  var mailbox: String
  var ttlMilliseconds: Int64

  init(_ peer: Peer) {
    name = peer.id.name
    incarnation = String(peer.id.incarnation, radix: 16)
    service = peer.service.description
    version = peer.version
    mailbox = peer.mailbox
    ttlMilliseconds = peer.ttl.wholeMilliseconds
  }

  enum CodingKeys: String, CodingKey {
    case name, incarnation, service, version, mailbox
    case ttlMilliseconds = "ttl_ms"
  }
}

struct Page<Item: Encodable>: Encodable {
  var object = "list"
  var data: [Item]
  var hasMore: Bool

  init(data: [Item], hasMore: Bool) {
    self.data = data
    self.hasMore = hasMore
  }

  enum CodingKeys: String, CodingKey {
    case object, data
    case hasMore = "has_more"
  }
}

struct Removed: Encodable {
  var object = "host"
  var id: String
  var deleted = true

  init(id: String) { self.id = id }
}

/// The body of a POST or PATCH: an object of known members with the right types.
struct HostFields {
  private var members: [String: JSONScalar]

  init(_ request: Request) async throws {
    // The server has already refused a larger body.
    let buffer = try await request.body.collect(upTo: 64 * 1024)
    do {
      members = try JSONDecoder().decode(
        [String: JSONScalar].self, from: Data(buffer.readableBytesView))
    } catch {
      throw AdminFailure(Failure(.invalidRequest, "The body must be a JSON object."))
    }
  }

  func draft() throws -> HostDraft {
    try allow([
      "url", "id", "dialect", "resume", "credential", "allow_plain_http", "tier", "trust", "slots",
      "price_per_million", "models",
    ])
    guard let url = try text("url") else {
      throw AdminFailure(Failure(.invalidRequest, "url is missing."), param: "url")
    }
    return HostDraft(
      url: url, id: try text("id").map { HostID($0) }, dialect: try chosen("dialect").newValue,
      resume: try chosen("resume").newValue, credential: try credential().newValue,
      allowsPlainHTTP: try flag("allow_plain_http"), tier: try choice("tier") ?? .community,
      trust: try choice("trust") ?? .any,
      slots: try integer("slots", in: 1...65_536),
      pricePerMillion: try integer("price_per_million", in: Host.prices) ?? 0,
      models: try models().newValue ?? [])
  }

  func patch() throws -> HostPatch {
    try allow([
      "dialect", "resume", "credential", "allow_plain_http", "tier", "trust", "slots",
      "price_per_million", "models",
    ])
    return HostPatch(
      dialect: try chosen("dialect"), resume: try chosen("resume"), credential: try credential(),
      allowsPlainHTTP: try flag("allow_plain_http"), tier: try choice("tier"),
      trust: try choice("trust"),
      slots: try integer("slots", in: 1...65_536),
      pricePerMillion: try integer("price_per_million", in: Host.prices),
      models: try models())
  }

  private func allow(_ names: Set<String>) throws {
    guard let unknown = members.keys.sorted().first(where: { !names.contains($0) }) else { return }
    throw AdminFailure(
      Failure(
        .invalidRequest,
        "\(unknown.cut(toBytes: 64)) is not a known member; known members: "
          + names.sorted().joined(separator: ", ") + "."),
      param: unknown.cut(toBytes: 64))
  }

  private func wrong(_ name: String, _ what: String) -> AdminFailure {
    AdminFailure(Failure(.invalidRequest, "\(name) must be \(what)."), param: name)
  }

  private func text(_ name: String) throws -> String? {
    switch members[name] {
    case nil, .null: nil
    case .text(let text): text
    default: throw wrong(name, "a string")
    }
  }

  /// `null` and an empty list mean the host's own list.
  private func models() throws -> HostPatch.Change<[ModelID]> {
    switch members["models"] {
    case nil: return .unchanged
    case .null: return .learned
    case .texts(let names): return names.isEmpty ? .learned : .value(names.map { ModelID($0) })
    default: throw wrong("models", "an array of strings, or null")
    }
  }

  private func flag(_ name: String) throws -> Bool {
    switch members[name] {
    case nil, .null: false
    case .flag(let isOn): isOn
    default: throw wrong(name, "true or false")
    }
  }

  private func integer(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    switch members[name] {
    case nil, .null: nil
    case .integer(let number) where range.contains(number): number
    default:
      throw wrong(name, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  /// One of the choices, or `auto`, which means learned from the host's answers.
  private func chosen<Choice: RawRepresentable & CaseIterable & Equatable & Sendable>(
    _ name: String
  ) throws -> HostPatch.Change<Choice> where Choice.RawValue == String {
    switch members[name] {
    case nil, .null: return .unchanged
    case .text("auto"): return .learned
    case .text(let text):
      if let choice = Choice(rawValue: text) { return .value(choice) }
    default: break
    }
    throw wrong(
      name, "one of auto, " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
  }

  /// `null` removes the credential, because a host has none that could be learned. For most members,
  /// `null` means no change.
  private func credential() throws -> HostPatch.Change<String> {
    switch members["credential"] {
    case nil: return .unchanged
    case .null: return .learned
    case .text(let text):
      do throws(Failure) {
        return .value(try CredentialReference(text).description)
      } catch {
        throw AdminFailure(error, param: "credential")
      }
    default: throw wrong("credential", "a string like env:NAME or file:/path, or null")
    }
  }

  private func choice<Choice: RawRepresentable & CaseIterable>(
    _ name: String
  ) throws -> Choice? where Choice.RawValue == String {
    switch members[name] {
    case nil, .null: return nil
    case .text(let text):
      if let choice = Choice(rawValue: text) { return choice }
    default: break
    }
    throw wrong(name, "one of " + Choice.allCases.map(\.rawValue).joined(separator: ", "))
  }
}

extension HostPatch.Change {
  fileprivate var newValue: Value? {
    if case .value(let value) = self { value } else { nil }
  }
}

/// A JSON scalar or a list of strings; `other` stands for any other value.
enum JSONScalar: Decodable {
  case null
  case text(String)
  case integer(Int)
  case flag(Bool)
  case texts([String])
  case other

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let number = try? container.decode(Int.self) {
      self = .integer(number)
    } else if let isOn = try? container.decode(Bool.self) {
      self = .flag(isOn)
    } else if let texts = try? container.decode([String].self) {
      self = .texts(texts)
    } else {
      self = .other
    }
  }
}
