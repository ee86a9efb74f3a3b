public import ClusterModel

/// Deadlines by route. A chat's deadline suits neither a plan, which makes many calls in sequence,
/// nor an embedding, which is one call of known size.
public struct RouteDeadlines: Hashable, Sendable {
  public enum Route: Hashable, Sendable {
    /// One answer of one model.
    case direct
    case plan
    case embeddings
  }

  /// Deadlines of a direct answer, and defaults for the other routes.
  var standard: Deadlines
  /// Total deadlines of the other routes. `nil` means the total deadline of `standard`.
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
