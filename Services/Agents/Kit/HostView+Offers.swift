import AgentCore
import ClusterModel
import HostModel

extension HostView {
  private func hosts(_ models: HostNeed.Models, _ policy: DataPolicy) -> [Entry] {
    firstAsked(for: HostNeed(models, dataPolicy: policy))
  }

  /// Embedding models, without aliases.
  func embeddingModels(_ policy: DataPolicy) -> [ModelID] {
    Set(
      hosts(.any, policy).flatMap(\.host.models).filter { $0.isEmbedding && $0.upstream == nil }
        .map(\.id)
    ).sorted()
  }

  /// An embedding model of an allowed host with a free slot. `nil` means that there is none.
  func idleEmbedder(_ policy: DataPolicy) -> ModelID? {
    let idle = hosts(.anyEmbedding, policy).filter { $0.freeSlots > 0 }
    return idle.flatMap(\.host.models).filter { $0.isEmbedding && $0.upstream == nil }.map(\.id)
      .min()
  }

  /// Chat models for a task, with the known speed and load of their hosts. An alias would offer a
  /// model twice.
  func offered(to order: TaskOrder, _ policy: DataPolicy) -> [OfferedModel] {
    var models: [ModelID: OfferedModel] = [:]
    for entry in hosts(.anyChat, policy) {
      let isFree = entry.freeSlots > 0 && !order.avoidHosts.contains(entry.host.id)
      for offer in entry.host.models where offer.isChat && offer.upstream == nil {
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
  func context(of model: ModelID?, _ policy: DataPolicy) -> Int? {
    hosts(model.map { .oneOf([$0]) } ?? .anyChat, policy).flatMap(\.host.models)
      .filter { model == nil ? $0.isChat : $0.id == model }
      .compactMap(\.contextTokens).min()
  }
}
