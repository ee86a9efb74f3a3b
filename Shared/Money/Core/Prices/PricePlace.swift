public import ClusterModel

/// Place of a row in the order of a price book: by model, host and time.
public struct PricePlace: Hashable, Comparable, Sendable {
  public let model: ModelID
  /// `nil` means the price that clients pay. It comes before the prices of hosts.
  public let host: HostID?
  /// Start of the price in milliseconds since 1970.
  public let effectiveFrom: Int64

  public init(model: ModelID, host: HostID?, effectiveFrom: Int64) {
    self.model = model
    self.host = host
    self.effectiveFrom = effectiveFrom
  }

  public static func < (left: Self, right: Self) -> Bool {
    (left.model, left.host?.name ?? "", left.effectiveFrom)
      < (right.model, right.host?.name ?? "", right.effectiveFrom)
  }
}

extension PriceRow {
  public var place: PricePlace {
    PricePlace(model: model, host: host, effectiveFrom: effectiveFrom)
  }
}

extension PriceBook {
  /// Rows in the order of `allRows`.
  ///
  /// Rows are only added, so pages neither repeat nor omit a row that was there before the first
  /// page.
  ///
  /// - Parameters:
  ///   - place: the last row of the previous page. `nil` means the first page.
  ///   - model: the rows' model. `nil` means all models.
  public func page(
    after place: PricePlace?, of model: ModelID? = nil, limit: Int
  ) -> (rows: [PriceRow], hasMore: Bool) {
    let rest = allRows.filter { row in
      (model.map { row.model == $0 } ?? true) && (place.map { row.place > $0 } ?? true)
    }
    return (Array(rest.prefix(limit)), rest.count > limit)
  }
}
