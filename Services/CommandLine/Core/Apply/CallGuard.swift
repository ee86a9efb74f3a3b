/// Checks before a call that the record has not changed since it was compared with the file.
public struct CallGuard: Sendable {
  public enum Verdict: Equatable, Sendable {
    /// The call may be made on the condition that the record still has this ETag. `nil` means that
    /// the record has no ETag.
    case proceed(ifMatch: String?)
    /// The record that the call removes is gone, or a cluster file would not contain it any more.
    case isDone
    /// These members have changed since the comparison.
    case changed([String])
    /// The record could not be read.
    case failed
  }

  /// ETag that stands for an absent record that the call creates.
  private static let absentTag = #""0""#

  private let kind: RecordKind
  private let id: String
  private let call: AdminCall
  private let isRemoval: Bool

  public init(_ call: AdminCall, of change: RecordChange) {
    kind = change.kind
    id = change.id
    self.call = call
    isRemoval = if case .remove = change.action { true } else { false }
  }

  /// - Parameters:
  ///   - status: status of the answer to `GET` of the call's `guardPath`.
  ///   - answer: body of that answer. `nil` means that the body is not JSON.
  public func verdict(status: Int, etag: String?, answer: RecordValue?) -> Verdict {
    if status == 404, isRemoval { return .isDone }
    if status == 404, call.makesRecord { return .proceed(ifMatch: Self.absentTag) }
    guard (200..<300).contains(status), let answer, let present = members(of: answer) else {
      return .failed
    }
    if isRemoval, !present.counts { return .isDone }
    let changed = call.expected.filter { name, old in
      let value = present.members[name] ?? .null
      return kind.member(name).map { !$0.shape.isEqual(old, value) } ?? (old != value)
    }
    return changed.isEmpty ? .proceed(ifMatch: etag) : .changed(changed.keys.sorted())
  }

  /// Members of the record in normal form. `counts` is `true` if a cluster file would contain the
  /// record.
  private func members(
    of answer: RecordValue
  ) -> (members: [String: RecordValue], counts: Bool)? {
    // An answer with budgets of a key has no other members of the key's record.
    if call.guardPath?.hasPrefix(RecordKind.keyBudgetsPath("")) == true,
      let budgets = kind.member("budgets")
    {
      return (["budgets": budgets.shape.normal(answer["budgets"] ?? .null)], true)
    }
    var record = answer
    if kind.identity == .map {
      guard let elements = answer["data"]?.elements else { return nil }
      record = elements.first { $0["id"] == .text(id) } ?? .null
      guard record["source"] == .text("runtime") else { return ([:], false) }
    }
    guard case .object(let values) = record, let read = ClusterState.record(values, of: kind)
    else { return nil }
    return (read.members, ClusterState.counts(read, values, of: kind))
  }
}
