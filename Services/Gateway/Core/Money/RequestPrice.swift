public import ClusterModel
public import Money

/// Client prices of the models that may answer one request, fixed at its admission.
public struct RequestPrice: Hashable, Sendable {
  /// Milliseconds since 1970.
  public let admittedAt: Int64
  /// For each kind of token, the highest price of any of the models. Holds are computed from it.
  public let highest: TokenPrice
  private let prices: Prices

  /// Most requests name one model, whose price needs no dictionary.
  private enum Prices: Hashable {
    case one(ModelID, TokenPrice)
    case several([ModelID: TokenPrice])
  }

  /// - Parameters:
  ///   - models: models that may answer. Models without a price are left out if the table refuses
  ///     them.
  ///   - embedders: models that may embed texts inside a plan. They are left out in the same way.
  ///     If all `models` are free, those that are not free are left out, too.
  /// - Throws: `permission_denied` if no model that may answer is left.
  public init(
    of models: [ModelID], embedders: [ModelID] = [], in table: PriceTable, at time: Int64
  ) throws(Failure) {
    admittedAt = time
    if models.count == 1, embedders.isEmpty, let model = models.first {
      guard let price = table.price(of: model, at: time) else { throw .unpriced(models) }
      prices = .one(model, price)
      highest = price
      return
    }
    var prices: [ModelID: TokenPrice] = [:]
    for model in models { prices[model] = table.price(of: model, at: time) }
    guard let first = prices.values.first else { throw .unpriced(models) }
    let answers = prices.values.reduce(first) { $0.dearest(of: $1) }
    for model in embedders {
      let price = table.price(of: model, at: time)
      // A plan of free models needs no money, so it can only use free embedding models.
      if answers != .free || price == TokenPrice.free { prices[model] = price }
    }
    self.prices = .several(prices)
    highest = prices.values.reduce(answers) { $0.dearest(of: $1) }
  }

  /// The price of requests that cost nothing. No model is known.
  static let free = RequestPrice()

  private init() {
    admittedAt = 0
    highest = .free
    prices = .several([:])
  }

  /// Whether the request costs nothing, however many tokens it takes.
  public var isFree: Bool { highest == .free }

  /// Checks whether the models that a client names for a plan have a price.
  /// - Parameter allowed: models that may answer. Other names get a more exact error later.
  /// - Throws: `permission_denied`.
  public func check(named: [ModelID], of allowed: [ModelID]) throws(Failure) {
    let allowed = Set(allowed)
    if let model = named.first(where: { allowed.contains($0) && !has($0) }) {
      throw .unpriced([model])
    }
  }

  public func has(_ model: ModelID) -> Bool { known(model) != nil }

  /// Price of an answer. A model that the hold did not expect costs the highest price.
  public func price(of model: ModelID) -> TokenPrice { known(model) ?? highest }

  private func known(_ model: ModelID) -> TokenPrice? {
    switch prices {
    case .one(let only, let price): only == model ? price : nil
    case .several(let prices): prices[model]
    }
  }
}

extension TokenPrice {
  /// For each kind of token, the higher of two prices.
  fileprivate func dearest(of other: TokenPrice) -> TokenPrice {
    let price = try? TokenPrice(
      input: max(input, other.input), cachedInput: max(cachedInput, other.cachedInput),
      output: max(output, other.output))
    // This cannot fail, because all prices are in range.
    return price ?? self
  }

  /// Price of a million tokens of the most expensive kind.
  var highestOfKinds: MicroCredits { max(input, cachedInput, output) }
}

extension Failure {
  fileprivate static func unpriced(_ models: [ModelID]) -> Failure {
    let subject =
      models.count == 1
      ? "The model `\(models[0].name.cut(toBytes: 256))` has no price"
      : "No model that may answer has a price"
    return .inRequest(
      .permissionDenied,
      "\(subject), and models without one are refused; an admin sets prices.", param: "model")
  }
}
