import ClusterModel
import RegistryCore
import Store
import Synchronization

/// Orders of admins, and messages of other services.
extension AccountShell {
  enum OrderError: Error {
    case refused(AccountRefusal)
    /// The record has another revision. `nil` means that the record is absent.
    case conflict(RecordRevision?)
    case failed(Failure)
  }

  /// A change, and the revision that its record must have.
  struct ExpectedChange: Sendable {
    let change: AccountChange
    let expected: ExpectedRevision
  }

  struct Order: Sendable {
    enum Work: Sendable {
      /// All changes are stored, or none.
      case changes([ExpectedChange], ChangeAuthor)
      case transfer(AdminTransfer)
    }

    let work: Work
    let receipt: OrderReceipt<Result<Done, OrderError>>

    func answer(_ result: Result<Done, OrderError>) { receipt.answer(result) }
  }

  enum Item: Sendable {
    case event(AccountBook.Event)
    case order(Order)
    /// The budgets of a key that was removed.
    case keyBudgetsRemoval(String)
  }

  /// Number of orders that have not begun.
  var waitingOrderCount: Int { state.withLock(\.waitingOrders) }
}
