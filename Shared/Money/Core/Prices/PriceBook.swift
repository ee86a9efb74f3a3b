public import ClusterModel
internal import Limits

/// One price of a model, valid from a time until the next row for the same model and host.
public struct PriceRow: Hashable, Codable, Sendable {
  public let model: ModelID
  /// The host that is paid this price. `nil` means the price that clients pay on any host.
  public let host: HostID?
  /// Start of the price in milliseconds since 1970.
  public let effectiveFrom: Int64
  public let price: TokenPrice

  public init(model: ModelID, host: HostID? = nil, effectiveFrom: Int64, price: TokenPrice) {
    self.model = model
    self.host = host
    self.effectiveFrom = effectiveFrom
    self.price = price
  }
}

/// Treatment of requests for a model without a price.
public enum UnknownPrice: String, Codable, CaseIterable, Sendable {
  case refuse, free
}

/// Reason why a row cannot be added to a price book.
public enum PriceRowRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// The row would change prices that were already in force at `now`.
  case inThePast(now: Int64)
  /// Another price starts at the same time for the same model and host.
  case conflict(PriceRow)
  case full
  /// The book does not have the row.
  case absent
  /// The row starts before `earliest`, so gateways may admit requests at its price before they learn
  /// of a withdrawal.
  case startsTooSoon(earliest: Int64)
  /// As many models have prices as the registry can publish to gateways.
  case tooManyModels

  public var description: String {
    switch self {
    case .inThePast(let now):
      "a price starts at \(UTCDate(milliseconds: now)) or later: requests were admitted at the "
        + "prices before it"
    case .conflict(let row):
      "model \(row.model) has another price from \(UTCDate(milliseconds: row.effectiveFrom)); "
        + "choose a later time"
    case .full: "the price book is full (\(Limits.priceRows.value) rows)"
    case .absent: "the price book does not have this price"
    case .startsTooSoon(let earliest):
      "only a price that starts at \(UTCDate(milliseconds: earliest)) or later can be withdrawn: "
        + "requests may be admitted at an earlier one"
    case .tooManyModels:
      "\(Limits.publishedPrices.value) models, with the aliases of models, have prices; no more can "
        + "have one"
    }
  }
}

/// All prices of clients and hosts, past and future. Rows are never changed, and a row can be removed
/// only before it is in force.
///
/// A row replaces the price from its time on, so a lookup for an earlier time keeps its result.
public struct PriceBook: Equatable, Sendable {
  private struct Subject: Hashable {
    let model: ModelID
    let host: HostID?
  }

  /// Rows of one model and host are sorted by `effectiveFrom`. No two of them have the same time.
  private var rows: [Subject: [PriceRow]] = [:]
  /// Milliseconds from the withdrawal of a row to its start, at least. Gateways learn of the
  /// withdrawal within this time.
  public static let withdrawalNotice: Int64 = 10_000
  /// Latest `now` of an added or removed row. Earlier prices cannot be changed, even if the clock is
  /// set back.
  private var latestChange = Int64.min
  public private(set) var count = 0

  public init() {}

  /// Restores a book from stored rows, in any order.
  public init(stored: some Sequence<PriceRow>) throws(PriceRowRefusal) {
    for row in stored { try insert(row) }
  }

  /// All rows, sorted by model, host and time.
  public var allRows: [PriceRow] {
    rows.sorted { left, right in
      (left.key.model, left.key.host?.name ?? "") < (right.key.model, right.key.host?.name ?? "")
    }.flatMap(\.value)
  }

  public func contains(_ row: PriceRow) -> Bool { exactRow(like: row) == row }

  /// Whether the book has a price that clients pay for a model.
  func hasClientPrice(of model: ModelID) -> Bool { rows[Subject(model: model, host: nil)] != nil }

  /// Adds a row. A row that the book already has changes nothing.
  public mutating func add(_ row: PriceRow, now: Int64) throws(PriceRowRefusal) {
    if contains(row) { return }
    let present = max(now, latestChange)
    guard row.effectiveFrom >= present else { throw .inThePast(now: present) }
    try insert(row)
    latestChange = present
  }

  /// The row at a place. `nil` means that there is none.
  public func row(at place: PricePlace) -> PriceRow? {
    rows[Subject(model: place.model, host: place.host)]?.first {
      $0.effectiveFrom == place.effectiveFrom
    }
  }

  /// Checks that a row is in the book and can be withdrawn at `now`.
  public func checkWithdrawal(of row: PriceRow, now: Int64) throws(PriceRowRefusal) {
    guard contains(row) else { throw .absent }
    let earliest = max(now, latestChange).addingCapped(Self.withdrawalNotice)
    guard row.effectiveFrom >= earliest else { throw .startsTooSoon(earliest: earliest) }
  }

  /// Removes a row that `checkWithdrawal` permitted. An unknown row changes nothing.
  public mutating func remove(_ row: PriceRow, now: Int64) {
    let subject = Subject(model: row.model, host: row.host)
    guard let position = rows[subject]?.firstIndex(of: row) else { return }
    rows[subject]?.remove(at: position)
    if rows[subject]?.isEmpty == true { rows[subject] = nil }
    count -= 1
    latestChange = max(latestChange, min(now, row.effectiveFrom))
  }

  /// Price that clients pay for a model at a time. `nil` means that the request is refused.
  public func clientPrice(
    of model: ModelID, at time: Int64, unknown: UnknownPrice
  ) -> TokenPrice? {
    if let price = price(Subject(model: model, host: nil), at: time) { return price }
    return switch unknown {
    case .refuse: nil
    case .free: .free
    }
  }

  /// Price that a host is paid for a model at a time: its row, otherwise its default, otherwise
  /// zero.
  ///
  /// The price of clients is not used instead, because an operator chooses the pay of hosts.
  public func hostPrice(
    of model: ModelID, on host: HostID, at time: Int64, hostDefault: TokenPrice?
  ) -> TokenPrice {
    price(Subject(model: model, host: host), at: time) ?? hostDefault ?? .free
  }

  private func price(_ subject: Subject, at time: Int64) -> TokenPrice? {
    guard let rows = rows[subject] else { return nil }
    let next = Self.position(after: time, in: rows)
    return next > 0 ? rows[next - 1].price : nil
  }

  private func exactRow(like row: PriceRow) -> PriceRow? {
    let rows = rows[Subject(model: row.model, host: row.host)] ?? []
    let next = Self.position(after: row.effectiveFrom, in: rows)
    guard next > 0, rows[next - 1].effectiveFrom == row.effectiveFrom else { return nil }
    return rows[next - 1]
  }

  private mutating func insert(_ row: PriceRow) throws(PriceRowRefusal) {
    if let present = exactRow(like: row) {
      guard present == row else { throw .conflict(present) }
      return
    }
    guard count < Limits.priceRows.value else { throw .full }
    let subject = Subject(model: row.model, host: row.host)
    let position = Self.position(after: row.effectiveFrom, in: rows[subject] ?? [])
    rows[subject, default: []].insert(row, at: position)
    count += 1
  }

  /// Number of rows that start at or before `time`, found by binary search.
  static func position(after time: Int64, in rows: [PriceRow]) -> Int {
    rows.partitioningIndex { $0.effectiveFrom > time }
  }
}
