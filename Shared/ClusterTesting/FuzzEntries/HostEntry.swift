import BusCore
import ClusterModel
import Foundation
import RegistryCore
import Wire

/// Decodes a host's response. The first byte chooses how the rest is read: as a list of models, a
/// version, an error, or a host's address.
///
/// The host table must remain encodable, whatever the host reports.
enum HostEntry {
  static func run(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let data = Data(bytes.dropFirst())
    var version: String?
    var slots: Int?
    var listing: ModelListing?
    switch first % 6 {
    case 0, 1: listing = try? ModelListing(parsing: Array(data))
    case 2: version = decoded(ServerVersion.self, data)?.version
    case 3:
      let props = decoded(LlamaProps.self, data)
      version = props?.buildInfo
      slots = props?.totalSlots
    case 4: _ = decoded(AnthropicError.self, data)
    default:
      let text = String(decoding: data, as: UTF8.self)
      _ = try? HostAddress(text)
      _ = try? HostAddress.check(id: text)
    }
    publish(listing, version: version, slots: slots)
  }

  private static func decoded<Value: Decodable>(_ type: Value.Type, _ data: Data) -> Value? {
    try? JSONDecoder().decode(type, from: data)
  }

  private static func publish(_ listing: ModelListing?, version: String?, slots: Int?) {
    var registry = HostRegistry(epoch: 1, now: .zero)
    guard let added = try? registry.add(HostDraft(url: "http://127.0.0.1:1"), now: .zero) else {
      return
    }
    var rng = Counting()
    for case .probe(let order) in added.directives {
      let backend = listing?.backend(server: "") ?? .other
      let report = ProbeReport(
        models: listing?.offers(contextTokens: nil) ?? [ModelOffer(id: "m")], slots: slots,
        version: version,
        dialect: backend.dialect, resume: backend.resume, roundTrip: .milliseconds(1))
      let directives = registry.probed(
        order, .answered(report), now: Instant.zero.advanced(by: .milliseconds(1)), using: &rng)
      for case .publish(let table) in directives { check(table) }
    }
  }

  private static func check(_ table: HostTable) {
    let envelope = Envelope(
      messageID: 1, shape: .publish, sender: PeerID(name: "registry", incarnation: 1),
      body: .hostTable(table))
    guard let bytes = try? envelope.encoded() else {
      preconditionFailure("a host table cannot be sent")
    }
    precondition(
      (try? Envelope(decoding: bytes)) != nil, "a host table that was sent cannot be read")
  }

  private struct Counting: RandomNumberGenerator {
    var state: UInt64 = 1

    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      return state
    }
  }
}
