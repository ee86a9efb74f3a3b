import Access
import ClusterModel
import Logging
import RegistryCore
import Store
import Synchronization
import Telemetry

/// The keys that the accounts pay for, and their budgets.
extension AccountShell {
  /// Author of changes that no admin makes.
  private static let ownAuthor = "registry"

  /// Takes all keys after a change of some. Ignores keys with the same account and state as before.
  /// Forgets keys that are no longer in the list, with their budgets.
  func receiveKeys(_ records: [KeyRecord]) {
    state.withLock { state in
      for record in records {
        let key = KeyState(account: record.account, isActive: record.state == .active)
        guard state.keys.updateValue(key, forKey: record.id.description) != key else { continue }
        // These events are never dropped, because there are at most `access.keys` of them.
        state.inbox.append(
          .event(
            .key(record.id.description, account: key.account, isActive: key.isActive)))
      }
      let present = Set(records.map(\.id.description))
      for id in state.keys.keys.sorted() where !present.contains(id) {
        state.keys[id] = nil
        state.inbox += [.event(.keyRemoved(id)), .keyBudgetsRemoval(id)]
      }
    }
    wakeups.continuation.yield()
  }

  /// Gives a new key the budgets of the key that it replaces. Their spending begins at zero.
  func copyBudgets(of old: KeyID, to new: KeyID, by author: String) async throws(Failure) {
    guard let budgets = read({ $0.keyBudgets("\(old)") })?.budgets else { return }
    let author = ChangeAuthor(name: author, time: now().wall)
    do throws(OrderError) {
      _ = try await change(
        .setKeyBudgets(key: "\(new)", budgets: budgets.map(\.terms)), expecting: .any, by: author)
    } catch {
      switch error {
      case .failed(let failure): throw failure
      case .refused(let refusal): throw Failure(.overloaded, "\(refusal)")
      case .conflict: throw Failure(.internalError, "The new key has budgets already.")
      }
    }
  }

  /// Removes the stored budgets of a key that no longer exists.
  ///
  /// If this fails, the budgets stay in the store, and limit nothing.
  /// - Returns: the directives of the change.
  func removeBudgets(of key: String) async -> [AccountBook.Directive] {
    let none = AccountRecord.keyBudgets(KeyBudgetsRecord(key: key, budgets: []))
    guard let subject = none.subject else { return [] }
    let time = now()
    do throws(Failure) {
      _ = try await store.apply(
        [.remove(subject, .any)], by: ChangeAuthor(name: Self.ownAuthor, time: time.wall))
    } catch {
      logger.report(
        .budgetsNotRemoved,
        metadata: ["key": "tutti-\(key)", LogKey.reason: "\(error.message)"])
      // The change may have reached the disk.
      await reload(error)
      return []
    }
    return state.withLock { state in
      state.revisions[subject] = nil
      return state.book.handle(.record(none), at: time)
    }
  }
}
