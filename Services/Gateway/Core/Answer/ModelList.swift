public import ClusterModel
public import Text

/// Responses of `GET /v1/models`.
public enum ModelList {
  /// Lists each model of the ready hosts once, then Tutti's own names. Names that the key does not
  /// allow, hosts that the key cannot reach, and models that an admin has hidden are left out.
  public static func list(_ table: HostTable, _ rights: KeyRights = KeyRights()) -> JSON {
    let table = rights.reachable(table)
    let offers = table.firstReadyOffers
    let models = rights.allowed(table.listedModels).map { model in
      offers[model].map { entry(model.name, host: $0.host, $0.offer) }
        ?? entry(model.name, owner: "tutti")
    }
    let own = GatewayRouting.ownModels.filter(rights.allows(ownModel:)).map {
      entry($0, owner: "tutti")
    }
    return ["object": "list", "data": .array(models + own)]
  }

  /// Returns the entry for `GET /v1/models/{id}`. For `tutti/fast` it names the model that answers.
  public static func model(
    _ name: String, _ table: HostTable, _ rights: KeyRights = KeyRights(),
    choices: ModelChoices = ModelChoices()
  ) throws(Failure) -> JSON {
    let table = rights.reachable(table)
    let own = GatewayRouting.ownModels.filter(rights.allows(ownModel:))
    if own.contains(name) {
      let fast = name == GatewayRouting.fast ? choices.fast : nil
      return entry(name, owner: "tutti", answeredBy: fast.flatMap { rights.allows($0) ? $0 : nil })
    }
    guard rights.allows(ModelID(name)), let found = table.firstReadyOffer(of: ModelID(name)) else {
      throw GatewayRouting.notFound(
        name, among: table.suggestedModels(where: rights.allows), rights, param: "model")
    }
    return entry(name, host: found.host, found.offer)
  }

  private static func entry(
    _ id: String, owner: String, answeredBy model: ModelID? = nil
  ) -> JSON {
    var members: [(String, JSON)] = [
      ("id", .string(id)), ("object", "model"), ("created", 0), ("owned_by", .string(owner)),
    ]
    if let model { members.append(("answered_by", .string(model.name))) }
    return .object(members)
  }

  /// Makes the entry of a model, with the members that the host itself lists for the model.
  private static func entry(_ id: String, host: HostID, _ offer: ModelOffer) -> JSON {
    var members: [(String, JSON)] = [
      ("id", .string(id)), ("object", "model"), ("created", 0), ("owned_by", .string(host.name)),
    ]
    let own = members.map(\.0).prefix(2)
    // The registry validates facts. If they are invalid here, the entry omits them.
    let facts = try? JSONDocument(validating: Array("{\(offer.facts)}".utf8))
    var hasContext = false
    if let facts {
      for member in facts.eachMember(of: facts.root) where !own.contains(member.name) {
        hasContext = hasContext || contextNames.contains(member.name)
        let value = JSON.raw(Array(facts.slice(member.value)))
        if let known = members.firstIndex(where: { $0.0 == member.name }) {
          members[known].1 = value
        } else {
          members.append((member.name, value))
        }
      }
    }
    if !hasContext, let tokens = offer.contextTokens {
      members.append(("context_length", .integer(tokens)))
    }
    return .object(members)
  }

  private static let contextNames: Set<String> = [
    "max_model_len", "context_length", "context_window", "max_context_length",
  ]
}

extension HostTable {
  /// Number of models of all hosts. It measures the work for a list of them.
  public var offerCount: Int { hosts.reduce(0) { $0 + $1.models.count } }

  /// The first ready host that offers the model. Hosts that list facts come before other hosts.
  fileprivate func firstReadyOffer(of model: ModelID) -> (host: HostID, offer: ModelOffer)? {
    var first: (host: HostID, offer: ModelOffer)?
    for host in hosts where host.state == .ready {
      guard let offer = host.models.first(where: { $0.id == model }) else { continue }
      if !offer.facts.isEmpty { return (host.id, offer) }
      first = first ?? (host.id, offer)
    }
    return first
  }

  /// The first ready host of each model. Hosts that list facts come before other hosts.
  fileprivate var firstReadyOffers: [ModelID: (host: HostID, offer: ModelOffer)] {
    var first: [ModelID: (host: HostID, offer: ModelOffer)] = [:]
    for host in hosts where host.state == .ready {
      for offer in host.models {
        if let known = first[offer.id], !known.offer.facts.isEmpty || offer.facts.isEmpty {
          continue
        }
        first[offer.id] = (host.id, offer)
      }
    }
    return first
  }
}
