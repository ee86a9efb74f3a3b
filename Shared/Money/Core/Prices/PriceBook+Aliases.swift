public import ClusterModel

/// Prices of aliases: names that stand for other models.
extension PriceBook {
  /// Number of models and aliases with a price that clients pay now or later.
  public func pricedModels(aliases: [ModelID: [ModelID]], unknown: UnknownPrice) -> Int {
    Set(clientRows(aliases: aliases, unknown: unknown).map(\.model)).count
  }

  /// Rows of prices that clients pay, including rows of aliases, sorted by model and time.
  ///
  /// Some aliases have no row of their own in force. For each kind of token, such an alias has the
  /// highest price of the models that it stands for. If one of these models has no price and
  /// unknown prices are refused, the alias has no price, either.
  func clientRows(aliases: [ModelID: [ModelID]], unknown: UnknownPrice) -> [PriceRow] {
    let own = allRows.filter { $0.host == nil }
    guard !aliases.isEmpty else { return own }
    let models = Set(aliases.values.joined())
    let rows = Dictionary(grouping: own.filter { models.contains($0.model) }, by: \.model)
    // An alias's own row replaces the price that is derived from other models, from the row's time
    // on.
    let begins = Dictionary(own.map { ($0.model, $0.effectiveFrom) }, uniquingKeysWith: min)
    let derived = aliases.flatMap { alias, targets in
      Self.rows(of: alias, for: targets.map { rows[$0] ?? [] }, unknown: unknown)
        .filter { row in begins[alias].map { row.effectiveFrom < $0 } ?? true }
    }
    return (own + derived).sorted { ($0.model, $0.effectiveFrom) < ($1.model, $1.effectiveFrom) }
  }

  /// - Parameter targets: rows of each model that the alias stands for, sorted by time.
  private static func rows(
    of alias: ModelID, for targets: [[PriceRow]], unknown: UnknownPrice
  ) -> [PriceRow] {
    let times = Set(targets.joined().map(\.effectiveFrom)).sorted()
    var rows: [PriceRow] = []
    for time in times {
      let prices = targets.compactMap { rows -> TokenPrice? in
        let next = position(after: time, in: rows)
        return next > 0 ? rows[next - 1].price : nil
      }
      guard unknown == .free || prices.count == targets.count,
        let price = TokenPrice.dearest(of: prices), rows.last?.price != price
      else { continue }
      rows.append(PriceRow(model: alias, effectiveFrom: time, price: price))
    }
    return rows
  }
}

extension TokenPrice {
  /// For each kind of token, the highest of the prices. `nil` means that there are no prices.
  static func dearest(of prices: [TokenPrice]) -> TokenPrice? {
    guard let input = prices.map(\.input).max(), let cached = prices.map(\.cachedInput).max(),
      let output = prices.map(\.output).max()
    else { return nil }
    // The result is valid, because each part comes from a valid price.
    return try? TokenPrice(input: input, cachedInput: cached, output: output)
  }
}
