public import ClusterModel
public import Text

/// `GET /v1/models`.
public enum ModelList {
  /// Real models of ready hosts, each once, then our own names.
  public static func list(_ table: HostTable) -> JSON {
    let models = table.readyModels.map { entry($0.name, owner: owner($0, table)) }
    let own = GatewayRouting.ownModels.map { entry($0, owner: "tutti") }
    return ["object": "list", "data": .array(models + own)]
  }

  /// `GET /v1/models/{id}`.
  public static func model(_ name: String, _ table: HostTable) throws(RequestProblem) -> JSON {
    if GatewayRouting.ownModels.contains(name) { return entry(name, owner: "tutti") }
    guard table.readyModels.contains(ModelID(name)) else {
      throw GatewayRouting.notFound(name, among: table.readyModels, param: "model")
    }
    return entry(name, owner: owner(ModelID(name), table))
  }

  private static func owner(_ model: ModelID, _ table: HostTable) -> String {
    table.hosts.first { $0.state == .ready && $0.offers(model) }?.id.name ?? "tutti"
  }

  /// No host tells when its model was made.
  private static func entry(_ id: String, owner: String) -> JSON {
    ["id": .string(id), "object": "model", "created": 0, "owned_by": .string(owner)]
  }
}
