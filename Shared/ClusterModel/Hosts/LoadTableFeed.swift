/// Decides which table of merged load is current.
///
/// Tables are complete and are published at least every 2 s, so a missed one is not requested.
public struct LoadTableFeed: Sendable {
  private var current: (table: LoadTable, receivedAt: Instant)?

  public init() {}

  /// Handles a published table.
  public mutating func published(_ new: LoadTable, now: Instant) {
    if let current {
      if new.epoch == current.table.epoch {
        guard new.revision > current.table.revision else { return }
      } else if new.epoch < current.table.epoch {
        // The table usually comes late from a registry that was replaced, and is ignored. If the
        // current registry is silent, the table is accepted: a restarted registry has a lower epoch
        // if its clock was set back.
        guard current.receivedAt.duration(to: now) >= LoadRhythm.silence else { return }
      }
    }
    current = (new, now)
  }

  /// The current table and the time since its arrival; `nil` means that none has arrived.
  public func load(now: Instant) -> (table: LoadTable, age: Duration)? {
    current.map { ($0.table, $0.receivedAt.duration(to: now)) }
  }
}
