public import ClusterModel
internal import Limits

/// Prices that clients pay, as the registry publishes them to gateways.
///
/// A table has rows in force and future rows. So a new price applies everywhere at its time,
/// without a message.
public struct PriceTable: Equatable, Sendable {
  /// The registry's incarnation.
  public let epoch: UInt64
  /// Grows with every change within an epoch.
  public let revision: UInt64
  public let unknown: UnknownPrice
  private let book: PriceBook

  /// - Parameter rows: rows for clients. Rows for hosts are ignored.
  /// - Throws: `full` for more than `Limits.publishedPrices` rows, or `conflict`.
  public init(
    epoch: UInt64, revision: UInt64, unknown: UnknownPrice, rows: [PriceRow] = []
  ) throws(PriceRowRefusal) {
    let rows = rows.filter { $0.host == nil }
    guard rows.count <= Limits.publishedPrices.value else { throw .full }
    self.epoch = epoch
    self.revision = revision
    self.unknown = unknown
    book = try PriceBook(stored: rows)
  }

  /// Selects the rows to publish. Rows in force at `time` come first, then future rows while there
  /// is room, the nearest first.
  ///
  /// If there is no room for all prices in force, prices that an admin set come before prices
  /// derived for aliases, each sorted by name. Models without a row are then refused. Otherwise a
  /// model whose price is left out could be free.
  ///
  /// - Parameter aliases: names that stand for other models. Their prices are derived from these
  ///   models.
  public init(
    epoch: UInt64, revision: UInt64, unknown: UnknownPrice, book: PriceBook,
    aliases: [ModelID: [ModelID]] = [:], at time: Int64
  ) throws(PriceRowRefusal) {
    let rows = book.clientRows(aliases: aliases, unknown: unknown)
    let future = rows.filter { $0.effectiveFrom > time }
      .sorted { ($0.effectiveFrom, $0.model) < ($1.effectiveFrom, $1.model) }
    // Rows of one model are sorted by time, so the last one that has begun is in force.
    var inForce: [PriceRow] = []
    for row in rows where row.effectiveFrom <= time {
      if inForce.last?.model == row.model { inForce.removeLast() }
      inForce.append(row)
    }
    let isCut = inForce.count > Limits.publishedPrices.value
    if isCut {
      let set = inForce.filter { book.hasClientPrice(of: $0.model) }
      inForce = set + inForce.filter { !book.hasClientPrice(of: $0.model) }
    }
    try self.init(
      epoch: epoch, revision: revision, unknown: isCut ? .refuse : unknown,
      rows: Array((inForce + future).prefix(Limits.publishedPrices.value)))
  }

  /// Sorted by model and time.
  public var rows: [PriceRow] { book.allRows }

  /// Price of a model for a request that is admitted at a time. `nil` means that the model has no
  /// price and the request is refused.
  public func price(of model: ModelID, at time: Int64) -> TokenPrice? {
    book.clientPrice(of: model, at: time, unknown: unknown)
  }

  /// Whether this table replaces another table. A restarted registry has another epoch.
  public func replaces(_ other: PriceTable) -> Bool {
    epoch != other.epoch || revision > other.revision
  }
}
