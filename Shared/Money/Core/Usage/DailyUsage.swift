internal import Limits

/// Requests, tokens and cost of keys by day and model, for the latest days.
///
/// The number of rows is limited. If there is no room, the oldest day is dropped. From `firstDay`
/// on, all requests with tokens are counted.
public struct DailyUsage: Sendable {
  /// Sums of one day and model.
  public struct Row: Hashable, Sendable {
    /// Number of days since 1970-01-01 in UTC.
    public var day: Int64
    public var model: String
    /// Requests with at least one token.
    public var requests: Int64
    public var usage: TokenUsage
    public var cost: MicroCredits

    public init(
      day: Int64, model: String, requests: Int64, usage: TokenUsage, cost: MicroCredits
    ) {
      self.day = day
      self.model = model
      self.requests = requests
      self.usage = usage
      self.cost = cost
    }
  }

  private struct Sums: Sendable {
    var requests: Int64 = 0
    var usage = TokenUsage.zero
    var cost = MicroCredits.zero

    mutating func add(_ more: TokenUsage, cost: MicroCredits) {
      requests = requests.addingCapped(1)
      // If a sum exceeds 64 bits, the earlier sum stays.
      usage = (try? usage.adding(more)) ?? usage
      self.cost = self.cost.addingCapped(cost)
    }
  }

  /// Name of the row that counts further models after a key's rows of a day are full.
  public static let otherModels = "other"

  /// First day from which on all requests are counted. Earlier days are not reported.
  public private(set) var firstDay: Int64

  private let maximumRows: Int
  private var days: [Int64: [AccountID: [String: Sums]]] = [:]
  private(set) var rowCount = 0

  /// - Parameters:
  ///   - firstDay: requests of earlier days are not counted. `nil` means that all are counted.
  ///   - maximumRows: maximum number of rows. `nil` means `usage.rows`.
  public init(firstDay: Int64? = nil, maximumRows: Int? = nil) {
    self.firstDay = firstDay ?? .min
    self.maximumRows = max(maximumRows ?? Limits.usageRows.value, 1)
  }

  /// Day of a time, in milliseconds since 1970.
  public static func day(of time: Int64) -> Int64 {
    UTCDate.clamped(time) / UTCDate.millisecondsPerDay
  }

  /// Counts a request. A request without tokens is not counted.
  public mutating func record(
    _ key: AccountID, model: String, _ usage: TokenUsage, cost: MicroCredits, at time: Int64
  ) {
    let day = Self.day(of: time)
    guard usage != .zero, day >= firstDay else { return }
    guard !add(usage, cost: cost, to: model, of: key, on: day) else { return }
    if days[day] == nil {
      days[day] = [:]
      if days.count > Limits.usageDays.value { dropOldestDay() }
    }
    // If the clock was set back, this day may be the oldest one, which was dropped for lack of
    // room.
    guard days[day] != nil else { return }
    func hasRow(_ model: String) -> Bool { days[day]?[key]?[model] != nil }
    var model = model
    if !hasRow(model), days[day]?[key]?.count ?? 0 >= Limits.usageModels.value {
      model = Self.otherModels
    }
    if !hasRow(model) {
      guard makeRoom(keeping: day) else {
        // There is no room for this day's own rows, so the day is incomplete and not reported.
        firstDay = max(firstDay, day.addingCapped(1))
        return
      }
      rowCount += 1
    }
    days[day, default: [:]][key, default: [:]][model, default: Sums()].add(usage, cost: cost)
  }

  /// Adds to an existing row, without a copy of the tables.
  /// - Returns: `false` if there is no such row.
  private mutating func add(
    _ usage: TokenUsage, cost: MicroCredits, to model: String, of key: AccountID, on day: Int64
  ) -> Bool {
    guard let keys = days.index(forKey: day),
      let models = days.values[keys].index(forKey: key),
      let row = days.values[keys].values[models].index(forKey: model)
    else { return false }
    days.values[keys].values[models].values[row].add(usage, cost: cost)
    return true
  }

  /// Rows of a key, the newest day first. Within a day, models with the most tokens come first.
  public func rows(of key: AccountID, days range: ClosedRange<Int64>) -> [Row] {
    days.filter { range.contains($0.key) && $0.key >= firstDay }.sorted { $0.key > $1.key }.flatMap
    { day, keys in
      (keys[key] ?? [:])
        .map { model, sums in
          Row(
            day: day, model: model, requests: sums.requests, usage: sums.usage, cost: sums.cost)
        }
        .sorted { ($1.tokens, $0.model) < ($0.tokens, $1.model) }
    }
  }

  // MARK: - Room

  private mutating func makeRoom(keeping day: Int64) -> Bool {
    while rowCount >= maximumRows {
      guard let oldest = days.keys.min(), oldest < day else { return false }
      dropOldestDay()
    }
    return true
  }

  private mutating func dropOldestDay() {
    guard let oldest = days.keys.min(), let keys = days.removeValue(forKey: oldest) else { return }
    rowCount -= keys.values.reduce(0) { $0 + $1.count }
    firstDay = max(firstDay, oldest.addingCapped(1))
  }
}

extension DailyUsage.Row {
  /// Sum of prompt tokens and completion tokens.
  public var tokens: Int64 { usage.prompt.addingCapped(usage.completion) }

  /// The day in ISO 8601, for example `2026-11-29`.
  public var date: String { UTCDate.dateText(day: day) }
}

extension DailyUsage {
  fileprivate struct Place: Hashable {
    let day: Int64
    let model: String
  }
}

extension UTCDate {
  /// Date of a day number, for example `2026-11-29`.
  public static func dateText(day: Int64) -> String {
    let (time, overflow) = day.multipliedReportingOverflow(by: millisecondsPerDay)
    return String(UTCDate(milliseconds: overflow ? .max : time).description.prefix(10))
  }
}

extension [DailyUsage.Row] {
  /// Merges the rows of two tables into one row per day and model, in the order of
  /// `DailyUsage.rows`.
  public func merged(with others: [DailyUsage.Row]) -> [DailyUsage.Row] {
    var rows: [DailyUsage.Place: DailyUsage.Row] = [:]
    for row in self + others {
      let place = DailyUsage.Place(day: row.day, model: row.model)
      guard var sum = rows[place] else {
        rows[place] = row
        continue
      }
      sum.requests = sum.requests.addingCapped(row.requests)
      sum.usage = (try? sum.usage.adding(row.usage)) ?? sum.usage
      sum.cost = sum.cost.addingCapped(row.cost)
      rows[place] = sum
    }
    return rows.values.sorted {
      ($1.day, $1.tokens, $0.model) < ($0.day, $0.tokens, $1.model)
    }
  }
}

// MARK: - Snapshots

extension DailyUsage {
  /// The contents of a table, for a checkpoint. Equal tables have equal snapshots.
  public struct Snapshot: Hashable, Codable, Sendable {
    struct Line: Hashable, Codable {
      let day: Int64
      let key: AccountID
      let model: String
      let requests: Int64
      let usage: TokenUsage
      let cost: MicroCredits

      enum CodingKeys: String, CodingKey {
        case day = "d"
        case key = "k"
        case model = "m"
        case requests = "r"
        case usage = "u"
        case cost = "c"
      }
    }

    let firstDay: Int64
    let lines: [Line]
  }

  public var snapshot: Snapshot {
    let lines = days.sorted { $0.key < $1.key }.flatMap { day, keys in
      keys.sorted { $0.key < $1.key }.flatMap { key, models in
        models.sorted { $0.key < $1.key }.map { model, sums in
          Snapshot.Line(
            day: day, key: key, model: model, requests: sums.requests, usage: sums.usage,
            cost: sums.cost)
        }
      }
    }
    return Snapshot(firstDay: firstDay, lines: lines)
  }

  /// - Parameter maximumRows: as for `init(firstDay:maximumRows:)`.
  /// - Returns: `nil` if the table is too large or has an impossible row.
  public init?(restoring snapshot: Snapshot, maximumRows: Int? = nil) {
    self.init(firstDay: snapshot.firstDay, maximumRows: maximumRows)
    guard snapshot.lines.count <= self.maximumRows else { return nil }
    let possibleDays = Self.day(of: .min)...Self.day(of: .max)
    for line in snapshot.lines {
      guard line.requests > 0, line.usage != .zero, line.cost >= .zero,
        possibleDays.contains(line.day),
        days[line.day]?[line.key]?[line.model] == nil,
        days[line.day]?[line.key]?.count ?? 0 <= Limits.usageModels.value
      else { return nil }
      days[line.day, default: [:]][line.key, default: [:]][line.model] = Sums(
        requests: line.requests, usage: line.usage, cost: line.cost)
    }
    guard days.count <= Limits.usageDays.value else { return nil }
    rowCount = snapshot.lines.count
  }
}
