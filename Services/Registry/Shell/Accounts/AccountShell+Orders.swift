import ClusterModel
import RegistryCore
import Store
import Synchronization

/// Orders of admins, and messages of other services.
extension AccountShell {
  enum OrderError: Error {
    case refused(AccountRefusal)
    /// The record has another revision. `nil` means that it is absent.
    case conflict(RecordRevision?)
    case failed(Failure)
  }

  struct Order: Sendable {
    enum Work: Sendable {
      case change(AccountChange, ExpectedRevision, ChangeAuthor)
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

  /// Orders that have not begun.
  var waitingOrderCount: Int { state.withLock(\.waitingOrders) }
}
