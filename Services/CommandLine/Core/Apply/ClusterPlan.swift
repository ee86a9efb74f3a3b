public import ClusterModel

/// The changes that make a cluster equal to a file.
public struct ClusterPlan: Equatable, Sendable {
  /// Changes in the order in which they are made.
  public let changes: [RecordChange]
  /// Differences that the changes leave, skipped sections, and accounts that do not exist.
  public let notes: [String]

  /// Compares the cluster with the file.
  ///
  /// - Parameters:
  ///   - prune: whether to remove records that are absent from the file's sections.
  ///   - now: milliseconds since 1970. It decides which prices are in force.
  /// - Throws: mistakes that show only in the comparison, with their lines.
  public init(
    from state: ClusterState, to file: ClusterFile, prune: Bool, now: Int64
  ) throws(ProcessFailure) {
    var comparison = RecordComparison(prune: prune, now: now)
    for kind in RecordKind.all {
      guard let wanted = file.sections[kind.section] else { continue }
      if state.lacks(kind) {
        comparison.notes.append(
          "this registry has no \(kind.section): the section \(kind.section) is skipped")
      } else if kind.identity == .prices {
        comparison.comparePrices(state[kind], wanted, now: now)
      } else {
        comparison.compare(state[kind], wanted, of: kind)
      }
    }
    comparison.keepUsedAccounts(state)
    func ids(_ kind: RecordKind) -> Set<String> {
      Set(state[kind].map(\.id) + file.records(of: kind).compactMap(\.id))
    }
    comparison.checkOwners(of: file.records(of: .teams), among: ids(.organisations))
    comparison.checkURLs(of: file.records(of: .hosts), among: state[.hosts])
    comparison.checkPrices(of: file.records(of: .hosts))
    comparison.checkSettings(file.records(of: .settings), state.settingRanges)
    comparison.noteAccounts(organisations: ids(.organisations), teams: ids(.teams))
    guard comparison.mistakes.isEmpty else {
      throw ProcessFailure(
        .usage, comparison.mistakes.message(of: file.path, "nothing was changed"))
    }
    changes = comparison.changes
    notes = comparison.notes
  }

  public var isEmpty: Bool { changes.isEmpty }

  /// Names of the keys that the plan creates.
  public var newKeys: [String] { changes.filter(\.makesKey).map(\.label) }
}
