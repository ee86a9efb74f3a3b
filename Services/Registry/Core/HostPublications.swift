public import ClusterModel

/// Decides what the registry sends to all processes when it publishes the host table.
public struct HostPublications: Sendable {
  public enum Publication: Equatable, Sendable {
    case table(HostTable)
    /// The changes since the last publication. If there are none, they still show a process that
    /// missed a publication which revision is current.
    case changes(HostChanges)
  }

  private var last: HostTable?

  public init() {}

  /// - Returns: `nil` if a later table was published already.
  public mutating func next(_ table: HostTable) -> Publication? {
    guard let last else {
      self.last = table
      return .table(table)
    }
    guard table.revision >= last.revision else { return nil }
    self.last = table
    return table.changes(since: last).map { .changes($0) } ?? .table(table)
  }
}
