public import ClusterModel

/// Decides what the registry sends to all processes when it publishes the host table.
public struct HostPublications: Sendable {
  public enum Publication: Equatable, Sendable {
    case table(HostTable)
    /// The changes since the last publication. They are sent even if there are none, because a
    /// process learns from their revision that it missed a publication.
    case changes(HostChanges)
  }

  private var last: HostTable?

  public init() {}

  /// The table for a process that requests it or joins. After the first publication, it is the
  /// last published table, because the next `changes` apply to that table.
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
