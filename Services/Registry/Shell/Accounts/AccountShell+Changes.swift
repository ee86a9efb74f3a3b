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

  /// Changes records together. On return all changes are stored and in force; after an error, none.
  /// - Returns: the new revision of each record.
  func change(
    _ changes: [ExpectedChange], by author: ChangeAuthor
  ) async throws(OrderError) -> [RecordRevision] {
    guard case .stored(let revisions) = try await order(.changes(changes, author)) else {
      preconditionFailure("a change of records ended as a transfer")
    }
    return revisions
  }

  /// Stores changes, and puts them into force.
  func store(
    _ changes: [ExpectedChange], _ author: ChangeAuthor, _ order: Order
  ) async -> Round {
    let records: [AccountRecord]
    do throws(AccountRefusal) {
      records = try state.withLock { state throws(AccountRefusal) -> [AccountRecord] in
        var records: [AccountRecord] = []
        for change in changes {
          records.append(try state.book.record(for: change.change, at: now().wall))
        }
        return records
      }
    } catch {
      order.answer(.failure(.refused(error)))
      return Round()
    }
    do throws(Failure) {
      var stored: [RecordChange] = []
      for (record, change) in zip(records, changes) {
        stored.append(try record.change(change.expected))
      }
      switch try await store.apply(stored, by: author) {
      case .conflict(_, let current):
        order.answer(.failure(.conflict(current)))
        return Round()
      case .applied(let revisions):
        let directives = state.withLock { state -> [AccountBook.Directive] in
          var directives: [AccountBook.Directive] = []
          for (record, revision) in zip(records, revisions) {
            if let subject = record.subject { state.revisions[subject] = revision }
            directives += state.book.handle(.record(record), at: now())
          }
          return directives
        }
        return Round(directives: directives, orders: [(order, .stored(revisions))])
      }
    } catch {
      order.answer(.failure(.failed(.notStored(error))))
      // The changes may have reached the disk.
      await reload(error)
      return Round()
    }
  }
}
