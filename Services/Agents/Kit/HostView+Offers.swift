import AgentCore
import ClusterModel
import InferenceCore

extension ClusterView {
  /// Ready hosts that the data policy allows; fallback hosts only if there is no other.
  private func hosts(_ policy: DataPolicy) -> [Host] {
    let ready = table.hosts.filter { $0.state == .ready && $0.trust >= policy }
    let community = ready.filter { $0.tier == .community }
    return community.isEmpty ? ready : community
  }

  func readyModels(_ policy: DataPolicy) -> [ModelID] {
    Set(hosts(policy).flatMap { $0.models.map(\.id) }).sorted()
  }

  /// An embedding model of an allowed host with a free slot. `nil` means that there is none.
  func idleEmbedder(_ policy: DataPolicy) -> ModelID? {
    let idle = hosts(policy).filter { (standing(of: $0.id)?.freeSlots ?? 1) > 0 }
    return idle.flatMap(\.models).map(\.id).filter(\.looksLikeEmbedding).min()
  }

  /// Chat models for a task, with the known speed and load of their hosts.
  func offered(to order: TaskOrder, _ policy: DataPolicy) -> [OfferedModel] {
    var models: [ModelID: OfferedModel] = [:]
    for host in hosts(policy) {
      let standing = standing(of: host.id)
      let isFree = (standing?.freeSlots ?? 1) > 0 && !order.avoidHosts.contains(host.id)
      for offer in host.models where offer.id.looksLikeChat {
        var model = models[offer.id] ?? OfferedModel(id: offer.id, freeHosts: 0)
        if isFree { model.freeHosts += 1 }
        if let rate = standing?.tokensPerSecond {
          model.tokensPerSecond = max(rate, model.tokensPerSecond ?? 0)
        }
        models[offer.id] = model
      }
    }
    return models.values.sorted { $0.id < $1.id }
  }

  /// Context of the smallest host that may be asked, in tokens. `nil` means that none reports it.
  func context(of model: ModelID?, _ policy: DataPolicy) -> Int? {
    hosts(policy).flatMap(\.models)
      .filter { model == nil ? $0.id.looksLikeChat : $0.id == model }
      .compactMap(\.contextTokens).min()
  }
}
