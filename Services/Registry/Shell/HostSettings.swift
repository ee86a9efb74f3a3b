import ClusterModel
import Crypto
import Money
import RegistryCore
import Text

/// An admin's settings of a host as JSON, for the audit log and for ETags.
///
/// They hold no secret, because a credential is only a reference. The state and the models that
/// probes find are not settings.
struct HostSettings: Equatable, Sendable {
  let json: String

  init(_ record: HostRecord) {
    let host = record.host
    func optional(_ text: String?) -> JSON { text.map { .string($0) } ?? .null }
    let settings: JSON = [
      "url": .string(host.url), "dialect": .string(record.dialect?.rawValue ?? "auto"),
      "resume": .string(record.resume?.rawValue ?? "auto"),
      "credential": optional(host.credential), "tier": .string(host.tier.rawValue),
      "trust": .string(host.trust.rawValue), "slots": host.slots.map { .integer($0) } ?? .null,
      "price_input": optional(host.price.map { MicroCredits($0.input).credits }),
      "price_output": optional(host.price.map { MicroCredits($0.output).credits }),
      "models": .array(record.models.map { .string($0.name) }),
      "tags": .array(host.tags.map { .string($0) }), "region": optional(host.region),
      "suspended": .boolean(host.state == .suspended), "drained": .boolean(record.isDrained),
    ]
    json = String(decoding: settings.encoded, as: UTF8.self)
  }

  /// The host's ETag, with quotes. Equal settings have equal tags, even after a restart.
  var tag: String {
    let digits = Array("0123456789abcdef".utf8)
    let hash = SHA256.hash(data: Array(json.utf8)).prefix(16)
      .flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return "\"\(String(decoding: hash, as: UTF8.self))\""
  }
}

extension HostRegistry {
  /// Checks an admin's precondition.
  ///
  /// - Parameter tags: ETags, one of which the host must have. `nil` means any.
  /// - Throws: `conflict` or `hostNotFound`.
  func expect(_ tags: Set<String>?, of id: HostID) throws(Failure) {
    guard let record = record(id) else { throw AdminFailure(noHost: id).failure }
    let tag = HostSettings(record).tag
    guard tags?.contains(tag) ?? true else {
      throw Failure(
        .conflict,
        "Host \(id) has been changed meanwhile; its ETag is \(tag) now. Read it again before you "
          + "change it.")
    }
  }
}
