/// Rows that changed between two revisions of the host table.
///
/// Every process reads each publication, and hosts decide how often their rows change. A publication
/// therefore has only the changed rows, so that its cost does not grow with the rows of other hosts.
public struct HostChanges: Equatable, Sendable {
  /// The registry's incarnation.
  public var epoch: UInt64
  /// Revision of the table that the changes apply to.
  public var base: UInt64
  /// Revision of the table with the changes. It equals `base` if nothing changed.
  public var revision: UInt64
  /// Changed hosts, and new hosts in their order.
  public var changed: [Host]
  public var removed: [HostID]

  public init(
    epoch: UInt64, base: UInt64, revision: UInt64, changed: [Host], removed: [HostID]
  ) {
    self.epoch = epoch
    self.base = base
    self.revision = revision
    self.changed = changed
    self.removed = removed
  }
}

extension HostTable {
  /// The changes since an earlier revision of this table. A different duration of the last probe
  /// counts as no change, because it differs after each probe and only the registry shows it.
  /// - Returns: `nil` if only the whole table leads from `old` to this table, because the tables are
  ///   from different registries or have their hosts in a different order.
  public func changes(since old: HostTable) -> HostChanges? {
    guard epoch == old.epoch else { return nil }
    let before = Dictionary(old.hosts.map { ($0.id, $0) }) { first, _ in first }
    var changed: [Host] = []
    for host in hosts {
      var compared = before[host.id]
      compared?.probeMilliseconds = host.probeMilliseconds
      if compared != host { changed.append(host) }
    }
    let present = Set(hosts.map(\.id))
    let changes = HostChanges(
      epoch: epoch, base: old.revision, revision: revision, changed: changed,
      removed: old.hosts.map(\.id).filter { !present.contains($0) })
    return old.applying(changes).hosts.map(\.id) == hosts.map(\.id) ? changes : nil
  }
}
