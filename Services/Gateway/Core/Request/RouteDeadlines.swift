public import ClusterModel

/// Deadlines by route. A plan makes many calls in sequence, and an embedding is one call of known
/// size, so a chat's deadline suits neither.
public struct RouteDeadlines: Hashable, Sendable {
  public enum Route: Hashable, Sendable {
    /// One answer of one model.
    case direct
    case plan
    case embeddings
  }

  /// Deadlines of a direct answer, and defaults for the other routes.
  var standard: Deadlines
  /// Total deadlines. `nil` means the standard one.
  var plan: Duration?
  var embeddings: Duration?

  public init(_ standard: Deadlines, plan: Duration? = nil, embeddings: Duration? = nil) {
    self.standard = standard
    self.plan = plan
    self.embeddings = embeddings
  }

  /// Deadlines that apply if the client sets none.
  public func of(_ route: Route) -> Deadlines {
    var deadlines = standard
    switch route {
    case .direct: break
    case .plan: deadlines.total = plan ?? standard.total
    case .embeddings: deadlines.total = embeddings ?? standard.total
    }
    return deadlines
  }
}

extension InferenceEndpoint {
  /// The route of a request that is answered without a plan.
  public var directRoute: RouteDeadlines.Route { self == .embeddings ? .embeddings : .direct }
}
