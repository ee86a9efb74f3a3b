import Money

/// Describes the changes of a plan and their outcome in lines for people.
public enum PlanText {
  /// Returns the lines of all changes, and a line with their numbers. `+` marks a created record,
  /// `~` a changed one and `-` a removed one. A created record has a line for each member that is
  /// not at its default. A changed record has a line for each difference, with the old and the new
  /// value.
  public static func lines(of plan: ClusterPlan) -> [String] {
    plan.changes.flatMap { lines(of: $0) } + (plan.isEmpty ? [] : [summary(of: plan.changes)])
  }

  static func lines(of change: RecordChange) -> [String] {
    switch change.action {
    case .create(let members):
      return ["+ \(change.title)"]
        + change.kind.members.compactMap { member -> String? in
          guard let value = members[member.name], value != member.absentValue,
            !isRepeated(member, change)
          else { return nil }
          return "    \(member.name): \(shown(value, member.shape))"
        }
    case .update(let changes), .supersede(let changes, by: _):
      return ["~ \(change.title)"]
        + changes.flatMap { member in
          differences(
            member.name, member.old, member.new, change.kind.member(member.name)?.shape)
        }.map { "    " + $0 }
    case .remove:
      if case .delete(let verb) = change.kind.removal { return ["- \(change.title) (\(verb))"] }
      return ["- \(change.title) (back to its default)"]
    }
  }

  /// Whether the title already shows the member.
  private static func isRepeated(_ member: RecordMember, _ change: RecordChange) -> Bool {
    switch change.kind.identity {
    case .nameOrID: member.name == "name"
    case .prices: ["model", "host", "effective_from_ms"].contains(member.name)
    case .member, .single, .map: false
    }
  }

  /// Returns a line per difference. Objects are compared member by member.
  private static func differences(
    _ name: String, _ old: RecordValue, _ new: RecordValue, _ shape: RecordShape?
  ) -> [String] {
    if case .object(let left) = old, case .object(let right) = new {
      return Set(left.keys).union(right.keys).sorted().flatMap { member in
        let (old, new) = (left[member] ?? .null, right[member] ?? .null)
        return old == new
          ? [] : differences("\(name).\(member)", old, new, shape?.member(member)?.shape)
      }
    }
    return ["\(name): \(shown(old, shape)) → \(shown(new, shape))"]
  }

  /// The value for people. Times are dates. Members of an object are left out if they have their
  /// default value.
  private static func shown(_ value: RecordValue, _ shape: RecordShape?) -> String {
    switch (shape, value) {
    case (.time?, .integer(let time))
    where time % 1_000 == 0 && UTCDate.times.contains(Int64(time)):
      "\(UTCDate(milliseconds: Int64(time)))"
    case (.object?, .object(let members)):
      RecordValue.object(members.filter { $1 != shape?.member($0)?.absentValue }).shown
    default: value.shown
    }
  }

  /// Numbers of changes, for example `2 to create, 1 to change, 0 to remove`.
  ///
  /// - Parameter isDone: whether the changes were made. The text is then `2 created, 1 changed, 0
  ///   removed`.
  public static func summary(of changes: [RecordChange], isDone: Bool = false) -> String {
    var (created, changed, removed) = (0, 0, 0)
    for change in changes {
      switch change.action {
      case .create: created += 1
      case .update, .supersede: changed += 1
      case .remove: removed += 1
      }
    }
    return isDone
      ? "\(created) created, \(changed) changed, \(removed) removed"
      : "\(created) to create, \(changed) to change, \(removed) to remove"
  }

  /// Describes a failure, and names the changes that were applied and those that were not.
  ///
  /// - Parameter count: number of changes that were applied completely.
  public static func failure(
    of plan: ClusterPlan, afterApplying count: Int, because reason: String
  ) -> String {
    func list(_ changes: ArraySlice<RecordChange>) -> String {
      changes.isEmpty ? "nothing" : changes.map(\.title).joined(separator: ", ")
    }
    let failed = plan.changes.dropFirst(count).first
    return [
      "\(failed?.title ?? "the plan"): \(reason)",
      "applied: \(list(plan.changes.prefix(count)))",
      "failed: \(failed?.title ?? "nothing")",
      "not applied: \(list(plan.changes.dropFirst(count + 1)))",
      "when the cause is removed, run the command again: it makes only the changes that are left",
    ].joined(separator: "\n")
  }
}
