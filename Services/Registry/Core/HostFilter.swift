public import ClusterModel

/// Selects hosts of the admin's list. A member that is `nil` selects all hosts.
public struct HostFilter: Equatable, Sendable {
  public var state: HostState?
  var tag: String?
  /// A model that the host offers.
  public var model: ModelID?

  public init(state: HostState? = nil, tag: String? = nil, model: ModelID? = nil) {
    self.state = state
    self.tag = tag
    self.model = model
  }

  public func admits(_ host: Host) -> Bool {
    (state.map { host.state == $0 } ?? true) && (tag.map { host.tags.contains($0) } ?? true)
      && (model.map { host.offers($0) } ?? true)
  }
}
