import AgentCore
import ClusterModel
import HostModel

extension HostView {
  /// Conditions for the hosts and models of a task: its data policy, the host pools of the client's
  /// key, and the models from which the agent may choose.
  struct Permission: Hashable {
    var dataPolicy: DataPolicy
    var pools: HostPools
    var models = AllowedModels.all

    func admitsEmbedder(_ offer: ModelOffer) -> Bool {
      offer.isEmbedding && offer.upstream == nil && models.admits(offer.id)
    }
  }

  private func hosts(_ models: HostNeed.Models, _ permission: Permission) -> [Entry] {
    firstAsked(
      for: HostNeed(models, dataPolicy: permission.dataPolicy, pools: permission.pools),
      models: permission.models)
  }

  /// Allowed embedding models, without aliases.
  func embeddingModels(_ permission: Permission) -> [ModelID] {
    Set(
      hosts(.any, permission).flatMap(\.host.models)
        .filter(permission.admitsEmbedder).map(\.id)
    ).sorted()
  }

  /// An allowed embedding model of an allowed host with a free slot. `nil` means that none exists.
  func idleEmbedder(_ permission: Permission) -> ModelID? {
    let idle = hosts(.anyEmbedding, permission).filter { $0.freeSlots > 0 }
    return idle.flatMap(\.host.models).filter(permission.admitsEmbedder).map(\.id).min()
  }

  /// Allowed chat models for a task that names none, with the known speed and load of their hosts.
  func offered(to order: TaskOrder, _ permission: Permission) -> [OfferedModel] {
    var models: [ModelID: OfferedModel] = [:]
    for entry in hosts(.anyChat, permission) {
      let isFree = entry.freeSlots > 0 && !order.avoidHosts.contains(entry.host.id)
      // A key may allow only an alias.
      for offer in entry.host.choices(named: permission.models.names)
      where permission.models.admits(offer.id) {
        var model = models[offer.id] ?? OfferedModel(id: offer.id, freeHosts: 0)
        if isFree { model.freeHosts += 1 }
        if let rate = entry.activity.speed.tokensPerSecond {
          model.tokensPerSecond = max(rate, model.tokensPerSecond ?? 0)
        }
        models[offer.id] = model
      }
    }
    return models.values.sorted { $0.id < $1.id }
  }

  /// Smallest context of the hosts that may be asked, in tokens. `nil` means that none reports it.
  func context(of model: ModelID?, _ permission: Permission) -> Int? {
    hosts(model.map { .oneOf([$0]) } ?? .anyChat, permission).flatMap(\.host.models)
      .filter { model == nil ? $0.isChat : $0.id == model }
      .compactMap(\.contextTokens).min()
  }
}
