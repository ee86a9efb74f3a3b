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

  /// The table for a process that requests it or joins. It is the last published one if there is one:
  /// the next changes apply to it, and not to a table with changes that are published later.
  /// - Parameter current: the present table.
  public func whole(_ current: @autoclosure () -> HostTable) -> HostTable { last ?? current() }

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
