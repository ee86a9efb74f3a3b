/// Decides which host table is current and when to request one from the registry.
///
/// It does not use the bus: tables and their changes arrive as events. A gap in the revisions shows
/// that publications get lost, and the newest may be among them. The feed then requests the current
/// table.
public struct HostTableFeed: Sendable {
  public private(set) var table: HostTable = .empty
  /// Whether a table has arrived.
  public private(set) var hasTable = false

  public init() {}

  public enum Directive: Equatable, Sendable {
    /// The table is current as far as known.
    case none
    case ask
  }

  /// Handles a published table.
  public mutating func published(_ new: HostTable) -> Directive {
    guard hasTable else {
      take(new)
      return .none
    }
    if new.epoch == table.epoch {
      // The table is late, or the answer to a request overtook it.
      guard new.revision > table.revision else { return .none }
      let isNext = new.revision == table.revision + 1
      take(new)
      return isNext ? .none : .ask
    }
    // The table is from another registry. A restarted registry has the higher epoch; a late table
    // of the old registry may still arrive.
    guard new.epoch > table.epoch else { return .ask }
    take(new)
    return .ask
  }

  /// Handles published changes of the table.
  public mutating func published(_ changes: HostChanges) -> Directive {
    guard hasTable, changes.epoch == table.epoch else { return .ask }
    // The changes are late, or the answer to a request overtook them.
    guard changes.revision > table.revision else { return .none }
    guard changes.base == table.revision else { return .ask }
    take(table.applying(changes))
    return .none
  }

  /// Adds the lists of models that were made of the table. They are dropped if the table has changed
  /// meanwhile.
  public mutating func addLists(from indexed: HostTable) {
    guard indexed.epoch == table.epoch, indexed.revision == table.revision else { return }
    table = indexed
  }

  /// Applies the registry's answer whatever its epoch, because it comes from a live registry. The
  /// answer is ignored if a newer publication of the same registry arrived before it.
  public mutating func answered(_ new: HostTable) {
    if hasTable, new.epoch == table.epoch, new.revision < table.revision { return }
    take(new)
  }

  private mutating func take(_ new: HostTable) {
    table = new
    hasTable = true
  }
}
