package import Money

internal import Limits

/// Settlements that share one message to the registry.
package struct SettlementBatch: Sendable {
  private var settlements: [Settlement] = []
  private var answers = 0

  package init() {}

  package var isEmpty: Bool { settlements.isEmpty }

  /// Adds a settlement.
  /// - Returns: the earlier settlements, to be sent now, if the batch had no room for this one.
  ///   Otherwise an empty list.
  package mutating func add(_ settlement: Settlement) -> [Settlement] {
    let full = hasRoom(for: settlement) ? [] : take()
    settlements.append(settlement)
    answers += settlement.answers.count
    return full
  }

  /// - Returns: the settlements of the batch, which is then empty.
  package mutating func take() -> [Settlement] {
    defer { (settlements, answers) = ([], 0) }
    return settlements
  }

  private func hasRoom(for settlement: Settlement) -> Bool {
    settlements.count < Limits.settlementBatch.value
      && (settlements.isEmpty
        || answers + settlement.answers.count <= Limits.settlementBatchAnswers.value)
  }
}
