import ClusterModel
import Limits
import Logging
import Money
import RegistryCore
import Synchronization
import Telemetry

/// Publication of the prices that clients pay.
extension AccountShell {
  /// Publishes the prices again, for gateways that missed the publication.
  func republishPrices() {
    // A full table may lack prices that come into force later, so a new one is made instead.
    if let table = priceTable, table.rows.count < Limits.publishedPrices.value {
      outlet.publish(table)
    } else {
      publishPrices()
    }
  }

  /// Checks that the price table of gateways has room for all prices if models get these aliases.
  func check(aliases: [ModelID: [ModelID]]) throws(Failure) {
    do throws(AccountRefusal) {
      try state.withLock { state throws(AccountRefusal) in
        try state.book.check(aliases: aliases)
      }
    } catch {
      throw Failure(.invalidRequest, "\(error)", param: "stands_for")
    }
  }

  func publishPrices() {
    let table = state.withLock { state -> Result<PriceTable, PriceRowRefusal> in
      state.priceRevision += 1
      return Result { () throws(PriceRowRefusal) in
        try state.book.priceTable(
          epoch: epoch, revision: state.priceRevision, at: now().wall)
      }
    }
    switch table {
    case .success(let table):
      if table.rows.count == Limits.publishedPrices.value { warnOfLeftOutPrices() }
      state.withLock { $0.priceTable = table }
      outlet.publish(table)
    case .failure(let refusal):
      logger.report(.pricesNotPublished, metadata: [LogKey.reason: "\(refusal)"])
    }
  }

  /// Logs an error if gateways refuse some models, because the price table has no room for them.
  /// Changes that cause this are refused, so only another version of Tutti can have stored such
  /// prices.
  private func warnOfLeftOutPrices() {
    let priced = read(\.pricedModels)
    guard priced > Limits.publishedPrices.value else { return }
    logger.report(.tooManyPrices, metadata: ["models": "\(priced)"])
  }
}
