import Limits

/// Models that the tasks of a plan may use if they name none. Without a limit these are all models
/// of the hosts.
///
/// The gateway makes the list from the client's key and the prices at the request's admission.
/// Dispatchers and agents know neither.
public struct AllowedModels: Hashable, Sendable {
  /// Empty means that all models are allowed.
  public let names: Set<ModelID>

  public static let all = AllowedModels([])

  public init(_ names: some Sequence<ModelID>) { self.names = Set(names) }

  /// The first models of both lists, at most `Limits.planModels`. If there are more, the others are
  /// not used.
  /// - Parameters:
  ///   - chat: models that may answer. The list is not empty.
  ///   - embedding: models that may compare drafts.
  public init(chat: [ModelID], embedding: [ModelID]) {
    let most = Limits.planModels.value
    let embedding = embedding.prefix(most / 8)
    names = Set(chat.prefix(most - embedding.count)).union(embedding)
  }

  public var isLimited: Bool { !names.isEmpty }

  public var sortedNames: [ModelID] { names.sorted() }

  public func admits(_ model: ModelID) -> Bool { names.isEmpty || names.contains(model) }

  /// Whether one of a host's models is allowed.
  public func admitsAny(of models: Set<ModelID>) -> Bool {
    names.isEmpty || !names.isDisjoint(with: models)
  }
}
