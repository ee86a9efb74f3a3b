import ClusterModel
import Foundation
import Hummingbird
import Money
import NIOCore
import RegistryCore

// JSON of the admin API, in requests and answers.

struct HostJSON: Encodable {
  struct Model: Encodable {
    var id: String
    var contextTokens: Int?
    /// The host's own model if `id` is an alias; otherwise `nil`.
    var aliasOf: String?

    enum CodingKeys: String, CodingKey {
      case id
      case contextTokens = "context_tokens"
      case aliasOf = "alias_of"
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
    /// Number of processes whose breaker for the host admits no request now.
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

  /// Values that an admin set in place of those that the host reports.
  struct Configured: Encodable {
    private let record: HostRecord

    init(_ record: HostRecord) { self.record = record }

    enum CodingKeys: CodingKey { case dialect, resume, slots, models }

    func encode(to encoder: any Encoder) throws {
      var members = encoder.container(keyedBy: CodingKeys.self)
      // `null`, or an empty list of models, shows that the host's own report applies. No member is
      // ever absent.
      try members.encode(record.dialect, forKey: .dialect)
      try members.encode(record.resume, forKey: .resume)
      try members.encode(record.host.slots, forKey: .slots)
      try members.encode(record.models.map(\.name), forKey: .models)
    }
  }

  private let host: ClusterModel.Host
  private let configured: Configured
  private let load: Load?
  private let untilProbe: Duration?

  /// - Parameters:
  ///   - load: `nil` means that no load table has the host yet.
  ///   - now: time from which the wait for the next probe is counted.
  init(_ entry: RegistryShell.HostEntry, load: HostLoad?, now: Instant) {
    host = entry.host
    configured = Configured(entry.record)
    self.load = load.map { Load($0) }
    untilProbe = entry.probeTime.map { now < $0 ? now.duration(to: $0) : .zero }
  }

  enum CodingKeys: String, CodingKey {
    case object, id, url, dialect, resume, credential, tier, trust, state, reason, models, slots,
      version, load, tags, region, configured
    case probeMilliseconds = "probe_ms"
    case untilProbe = "next_probe_ms"
    case inputPrice = "price_input"
    case outputPrice = "price_output"
  }

  func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode("host", forKey: .object)
    try members.encode(host.id, forKey: .id)
    try members.encode(host.url, forKey: .url)
    try members.encode(host.dialect, forKey: .dialect)
    try members.encode(host.resume, forKey: .resume)
    // This is the reference to the secret, never the secret.
    try members.encode(host.credential, forKey: .credential)
    try members.encode(host.tier, forKey: .tier)
    try members.encode(host.trust, forKey: .trust)
    try members.encode(host.tags, forKey: .tags)
    try members.encode(host.region, forKey: .region)
    try members.encode(host.state, forKey: .state)
    try members.encode(host.reason, forKey: .reason)
    try members.encode(
      host.models.map {
        Model(id: $0.id.name, contextTokens: $0.contextTokens, aliasOf: $0.upstream?.name)
      }, forKey: .models)
    // `null` shows that the value is not known. The members are never absent.
    try members.encode(host.slots, forKey: .slots)
    try members.encode(host.version, forKey: .version)
    try members.encode(host.probeMilliseconds, forKey: .probeMilliseconds)
    try members.encode(untilProbe?.wholeMilliseconds, forKey: .untilProbe)
    try members.encode(host.price.map { MicroCredits($0.input).credits }, forKey: .inputPrice)
    try members.encode(host.price.map { MicroCredits($0.output).credits }, forKey: .outputPrice)
    try members.encode(configured, forKey: .configured)
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

/// A page of a list whose records have no ids that follow the order of the list.
struct CursorPage<Item: Encodable>: Encodable {
  let object = "list"
  let data: [Item]
  let hasMore: Bool
  /// Value of the list's parameter for the next page. `nil` means that this page is the last one.
  let next: String?

  init(data: [Item], next: String?) {
    self.data = data
    self.next = next
    hasMore = next != nil
  }

  enum CodingKeys: String, CodingKey {
    case object, data, next
    case hasMore = "has_more"
  }
}

struct Removed: Encodable {
  var object: String
  var id: String
  var deleted = true

  init(object: String = "host", id: String) {
    self.object = object
    self.id = id
  }
}
