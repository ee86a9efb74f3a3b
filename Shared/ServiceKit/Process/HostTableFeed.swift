import ClusterModel

/// Decides which host table counts and when the registry must be asked for it.
///
/// Knows no bus: tables come in as events. Tables are whole, so the newest one is enough; but a hole
/// in the revisions says that the connection lost something, and the next thing it loses may be the
/// last one for hours.
struct HostTableFeed: Sendable {
  private(set) var table: HostTable = .empty
  /// True from the first table on.
  private(set) var hasTable = false

  enum Directive: Equatable {
    /// The table is known to be current as far as anyone can tell.
    case none
    case ask
  }

  /// A table came by publication.
  mutating func published(_ new: HostTable) -> Directive {
    guard hasTable else {
      take(new)
      return .none
    }
    if new.epoch == table.epoch {
      // Late mail, or the answer to our question overtook it.
      guard new.revision > table.revision else { return .none }
      let isNext = new.revision == table.revision + 1
      take(new)
      return isNext ? .none : .ask
    }
    // Another registry: a restarted one has the higher epoch; what the old one said last may still
    // be on its way.
    guard new.epoch > table.epoch else { return .ask }
    take(new)
    return .ask
  }

  /// The registry answered our question. It lives, so what it says counts, whatever we have, unless
  /// a publication of its own overtook the answer.
  mutating func answered(_ new: HostTable) {
    if hasTable, new.epoch == table.epoch, new.revision < table.revision { return }
    take(new)
  }

  private mutating func take(_ new: HostTable) {
    table = new
    hasTable = true
  }
}
