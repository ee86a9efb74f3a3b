import ClusterModel
import RegistryCore
import Store
import Synchronization

/// Changes of records by admins.
extension AccountShell {
  /// Changes a record, and returns its new revision when the change is stored and in force.
  func change(
    _ change: AccountChange, expecting expected: ExpectedRevision, by author: ChangeAuthor
  ) async throws(OrderError) -> RecordRevision {
    let changes = [ExpectedChange(change: change, expected: expected)]
    guard let revision = try await self.change(changes, by: author).first else {
      preconditionFailure("a change of a record has no revision")
    }
    return revision
  }

  /// Changes records together: all of them, or none. On return the changes are stored and in force.
  /// - Returns: the new revision of each record.
  func change(
    _ changes: [ExpectedChange], by author: ChangeAuthor
  ) async throws(OrderError) -> [RecordRevision] {
    guard case .stored(let revisions) = try await order(.changes(changes, author)) else {
      preconditionFailure("a change of records ended as a transfer")
    }
    return revisions
  }

  /// A checked change.
  private struct PlannedChange {
    let record: AccountRecord
    let expected: ExpectedRevision
    /// Revision of a record that is already as the admin wants it. `nil` means that the change must
    /// be stored.
    let unchanged: RecordRevision?
  }

  private func plan(_ changes: [ExpectedChange]) throws(AccountRefusal) -> [PlannedChange] {
    try state.withLock { state throws(AccountRefusal) -> [PlannedChange] in
      var planned: [PlannedChange] = []
      for change in changes {
        let record = try state.book.record(for: change.change, at: now().wall)
        var present: RecordRevision?
        if let subject = record.subject { present = state.revisions[subject] }
        // If the record is not in the expected state, the change goes to the store, which reports
        // the conflict.
        let isUnchanged = state.book.has(record) && change.expected.holds(for: present)
        planned.append(
          PlannedChange(
            record: record, expected: change.expected,
            unchanged: isUnchanged ? (present ?? .unstored) : nil))
      }
      return planned
    }
  }

  /// Stores changes, and puts them into force. A record that stays as it is keeps its revision and
  /// gets no entry in the audit log.
  func store(
    _ changes: [ExpectedChange], _ author: ChangeAuthor, _ order: Order
  ) async -> Round {
    let planned: [PlannedChange]
    do throws(OrderError) {
      try await checkReuse(changes)
      do throws(AccountRefusal) {
        planned = try plan(changes)
      } catch {
        throw OrderError.refused(error)
      }
    } catch {
      order.answer(.failure(error))
      return Round()
    }
    let pending = planned.filter { $0.unchanged == nil }
    guard !pending.isEmpty else {
      order.answer(.success(.stored(planned.compactMap(\.unchanged))))
      return Round()
    }
    do throws(Failure) {
      var stored: [RecordChange] = []
      for change in pending { stored.append(try change.record.change(change.expected)) }
      switch try await store.apply(stored, by: author) {
      case .conflict(_, let current):
        order.answer(.failure(.conflict(current)))
        return Round()
      case .applied(let revisions):
        let directives = state.withLock { state -> [AccountBook.Directive] in
          var directives: [AccountBook.Directive] = []
          for (change, revision) in zip(pending, revisions) {
            if let subject = change.record.subject {
              state.revisions[subject] = change.record.isRemoval ? nil : revision
            }
            directives += state.book.handle(.record(change.record), at: now())
          }
          return directives
        }
        var rest = revisions[...]
        let all: [RecordRevision] = planned.map { $0.unchanged ?? rest.popFirst() ?? .unstored }
        return Round(directives: directives, orders: [(order, .stored(all))])
      }
    } catch {
      order.answer(.failure(.failed(.notStored(error))))
      // The changes may have reached the disk.
      await reload(error)
      return Round()
    }
  }
}

extension AccountRecord {
  fileprivate var isRemoval: Bool { if case .removedAccount = self { true } else { false } }
}

extension RecordRevision {
  /// Stands for the revision of a record that was never stored.
  static let unstored = RecordRevision(0)
}
