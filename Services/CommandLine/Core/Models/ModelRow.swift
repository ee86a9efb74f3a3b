import ClusterModel

/// A model as the registry's admin API shows it.
///
/// Kinds and states are text, because a newer registry may have some that this command does not
/// know.
public struct ModelRow: Decodable, Hashable, Sendable {
  struct Offer: Decodable, Hashable, Sendable {
    let host: String
    let approved: Bool
    let state: String
  }

  public let id: String
  public let standsFor: [String]
  public let hosts: [String]
  let hostPools: [String]
  let hidden: Bool
  /// `nil` means that an earlier version answered, which has no ranks.
  let ranked: Bool?
  let kind: String?
  let contextTokens: Int?
  let minimumVersions: [String]
  let offers: [Offer]

  enum CodingKeys: String, CodingKey {
    case id, hosts, hidden, kind, offers, ranked
    case standsFor = "stands_for"
    case hostPools = "host_pools"
    case contextTokens = "context_tokens"
    case minimumVersions = "minimum_versions"
  }
}

// MARK: - For people

extension ModelRow {
  /// Table of models.
  public static func table(_ models: [ModelRow]) -> TextTable {
    var table = TextTable([
      ("model", .left), ("stands for", .left), ("hosts", .left), ("only", .left), ("notes", .left),
    ])
    for model in models {
      let approved = model.offers.filter(\.approved)
      let ready = approved.count { $0.state == HostState.ready.rawValue }
      let waiting = model.offers.count - approved.count
      let only = model.hosts + model.hostPools.map { "pool \($0)" }
      table.append([
        model.id, model.targets,
        "\(ready) ready of \(approved.count)" + (waiting > 0 ? ", \(waiting) not approved" : ""),
        text(only), text(model.notes),
      ])
    }
    return table
  }

  /// All facts about one model, one in each line.
  public var details: [String] {
    var table = TextTable([("model", .left), (TextTable.printable(id), .left)])
    table.append(["stands for", targets])
    table.append(["hosts", hosts.isEmpty && hostPools.isEmpty ? "all" : Self.text(hosts)])
    table.append(["host pools", Self.text(hostPools)])
    table.append(["listed for clients", hidden ? "no" : "yes"])
    table.append(["kind", kind ?? "from its name"])
    table.append(["context tokens", contextTokens.map { "\($0)" } ?? "as hosts report"])
    table.append(["minimum versions", Self.text(minimumVersions)])
    for offer in offers {
      table.append([
        "host \(offer.host)", offer.approved ? offer.state : "\(offer.state), not approved",
      ])
    }
    return table.lines
  }

  /// The models of an alias: "a, b", or with ranks "a > b".
  private var targets: String {
    ranked == true && standsFor.count > 1
      ? standsFor.joined(separator: " > ") : Self.text(standsFor)
  }

  private var notes: [String] {
    (hidden ? ["hidden"] : []) + [kind].compactMap(\.self)
      + [contextTokens.map { "\($0) tokens" }].compactMap(\.self) + minimumVersions
  }

  private static func text(_ names: [String]) -> String {
    names.isEmpty ? "-" : names.joined(separator: ", ")
  }
}
