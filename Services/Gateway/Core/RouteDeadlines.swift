public import ClusterModel

/// How long answers may take by the way on which they come: a plan makes many calls one after the
/// other, an embedding is one piece of known work, and what suits a chat suits neither.
public struct RouteDeadlines: Hashable, Sendable {
  public enum Route: Hashable, Sendable {
    /// One answer of one model.
    case direct
    case plan
    case embeddings
  }

  /// Of a direct answer, and of the others where they say nothing.
  public var standard: Deadlines
  /// Totals; nil: the standard's.
  public var plan: Duration?
  public var embeddings: Duration?

  public init(_ standard: Deadlines, plan: Duration? = nil, embeddings: Duration? = nil) {
    self.standard = standard
    self.plan = plan
    self.embeddings = embeddings
  }

  /// Those that hold where the client says nothing.
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

extension GatewayEndpoint {
  /// The route of what is answered without a plan.
  public var directRoute: RouteDeadlines.Route { self == .embeddings ? .embeddings : .direct }
}
