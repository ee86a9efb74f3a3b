import Access
import ClusterModel
import Money
import RegistryCore
import Store

/// Ids of organisations that were removed. The audit log has every removal.
extension AccountShell {
  /// Refuses a new organisation under the id of a removed one that has entries in the ledger.
  /// Otherwise the entries of both would be one account.
  func checkReuse(_ changes: [ExpectedChange]) async throws(OrderError) {
    for case .setOrganisation(let id, _, _, _) in changes.map(\.change)
    where read({ $0.organisation(id) }) == nil {
      let isReserved: Bool
      do throws(Failure) {
        isReserved = try await self.isReserved(id)
      } catch {
        throw .failed(error)
      }
      if isReserved { throw .refused(.removedOrganisation(id)) }
    }
  }

  private func isReserved(_ organisation: String) async throws(Failure) -> Bool {
    guard try await wasRemoved(organisation) else { return false }
    // Every hold has an entry of the organisation, too.
    let query = LedgerQuery(account: .organisation(organisation), limit: 1)
    return try await !store.transactions(query).rows.isEmpty
  }

  /// Refuses an organisation that was removed as the account of a key. Its requests would add
  /// entries to an account that no admin can settle.
  ///
  /// This reads the store, not the book. If the store's answer to a removal is lost, keys can
  /// change before the book has been read again.
  func checkAccount(ofKey account: AccountPath) async throws(Failure) {
    let id = account.organisation
    guard try await wasRemoved(id) else { return }
    throw Failure(
      .invalidRequest,
      "Organisation \(id) was removed; choose another account, or create the organisation again if "
        + "it never had entries in the ledger.", param: "account")
  }

  private func wasRemoved(_ organisation: String) async throws(Failure) -> Bool {
    var query = AuditQuery(kind: "organisation", id: organisation, limit: 1)
    while true {
      let page = try await store.auditPage(query)
      if let last = page.records.first { return last.action == .remove }
      // Records of other kinds with the same id can take the place of a page.
      guard let next = page.next else { return false }
      query.before = next
    }
  }
}
