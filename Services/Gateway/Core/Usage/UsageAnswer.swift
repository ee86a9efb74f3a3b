public import Access
public import ClusterModel
internal import Limits
public import Money
public import Text

/// Answer of `GET /v1/usage`: limits, budgets and spending of the request's key.
public enum UsageAnswer {
  public static let path = "/v1/usage"
  /// Allowed numbers of days.
  static let allowedDays = 1...Limits.usageDays.value
  static let standardDays = 30
  /// Scopes of requests that may cost something.
  private static let spendingScopes: Set<AccessScope> = [.chat, .embeddings, .plans]

  /// Requests without a cost. The registry does not count them, so each gateway counts its own.
  public struct FreeUse: Hashable, Sendable {
    public var rows: [DailyUsage.Row]
    /// When this gateway began to count, in milliseconds since 1970.
    var since: Int64

    public init(rows: [DailyUsage.Row], since: Int64) {
      self.rows = rows
      self.since = since
    }
  }

  /// The error for `GET /v1/usage` in a cluster that requires no key.
  public static let withoutKeys = Failure(
    .invalidAPIKey,
    "This cluster has no keys yet, so nothing is counted per key. An admin makes the first one "
      + "with \"tutti keys create\".")

  /// Reads the query of a request.
  /// - Parameter parameters: names and decoded values.
  public static func days(
    _ parameters: [(name: String, value: String)]
  ) throws(Failure) -> Int {
    var days = standardDays
    for (name, value) in parameters {
      guard name == "days" else {
        throw Failure(
          .invalidRequest, "\(name.cut(toBytes: 64)) is not a known parameter; known: days.",
          param: name.cut(toBytes: 64))
      }
      guard let number = Int(value), allowedDays.contains(number) else {
        throw Failure(
          .invalidRequest,
          "days must be a whole number from \(allowedDays.lowerBound) to \(allowedDays.upperBound).",
          param: "days")
      }
      days = number
    }
    return days
  }

  /// The UTC days that an answer covers, as numbers of `DailyUsage.day(of:)`.
  /// - Parameter time: now, in milliseconds since 1970.
  public static func range(_ days: Int, at time: Int64) -> ClosedRange<Int64> {
    let today = DailyUsage.day(of: time)
    return (today - Int64(max(days, 1) - 1))...today
  }

  /// - Parameters:
  ///   - report: the registry's report. `nil` means that the registry did not answer. The members
  ///     of the report are then missing.
  ///   - days: the range that `range(_:at:)` returned.
  public static func json(
    _ key: KeyRecord, _ limits: [RateRemainder], _ report: SpendingReport?, _ free: FreeUse,
    days: ClosedRange<Int64>
  ) -> JSON {
    let rows = (report?.rows ?? []).merged(with: free.rows).filter { days.contains($0.day) }
    var members: [(String, JSON)] = [
      ("object", "usage"), ("key", .string("\(key.id)")), ("name", .string(key.name)),
      ("account", .string("\(key.account)")), ("complete", .boolean(report != nil)),
      ("limits", .object(limits.map { ($0.limit.rawValue, json($0)) })),
    ]
    if let report {
      // A key that cannot spend needs no figures of other keys of its account.
      let canSpend = !key.scopes.isDisjoint(with: spendingScopes)
      let budgets = report.budgets.filter { canSpend || $0.owner == .key }
      members.append(("budgets", .array(budgets.map(json))))
      members.append(("balance", canSpend ? report.balance.map(json) ?? .null : .null))
    }
    let first = max(report?.firstDay ?? days.lowerBound, days.lowerBound)
    members += [
      ("since", .string(UTCDate.dateText(day: first))),
      ("free_since_ms", .integer(Int(clamping: free.since))),
      ("total", total(rows)), ("data", .array(rows.map(json))),
    ]
    return .object(members)
  }

  private static func json(_ remainder: RateRemainder) -> JSON {
    var members: [(String, JSON)] = [
      ("limit", .integer(remainder.value)), ("share", .integer(remainder.share)),
      ("remaining", .integer(remainder.remaining)),
    ]
    if let seconds = remainder.secondsToReset {
      members.append(("seconds_to_reset", .integer(seconds)))
    }
    return .object(members)
  }

  private static func json(_ budget: SpendingReport.Budget) -> JSON {
    [
      "owner": .string(budget.owner.rawValue), "id": .string(budget.id),
      "period": .string(budget.window.period.rawValue),
      "window": .string(budget.window.kind.rawValue),
      "amount": .string(budget.amount.credits), "spent": .string(budget.spent.credits),
      "remaining": .string(budget.remaining.credits),
      "resets_at_ms": budget.resetsAt.map { .integer(Int(clamping: $0)) } ?? .null,
    ]
  }

  private static func json(_ balance: SpendingReport.Balance) -> JSON {
    [
      "organisation": .string(balance.organisation),
      "available": .string(balance.available.credits), "held": .string(balance.held.credits),
    ]
  }

  private static func json(_ row: DailyUsage.Row) -> JSON {
    .object(
      [("day", .string(row.date)), ("model", .string(row.model))]
        + counts(requests: row.requests, row.usage, cost: row.cost))
  }

  private static func total(_ rows: [DailyUsage.Row]) -> JSON {
    var requests: Int64 = 0
    var usage = TokenUsage.zero
    var cost = MicroCredits.zero
    for row in rows {
      requests = requests.addingCapped(row.requests)
      // If a sum exceeds 64 bits, the sum before this row stays.
      usage = (try? usage.adding(row.usage)) ?? usage
      cost = (try? cost.adding(row.cost)) ?? cost
    }
    return .object(counts(requests: requests, usage, cost: cost))
  }

  private static func counts(
    requests: Int64, _ usage: TokenUsage, cost: MicroCredits
  ) -> [(String, JSON)] {
    [
      ("requests", .integer(Int(clamping: requests))),
      ("prompt_tokens", .integer(Int(clamping: usage.prompt))),
      ("cached_tokens", .integer(Int(clamping: usage.cached))),
      ("completion_tokens", .integer(Int(clamping: usage.completion))),
      ("cost", .string(cost.credits)),
    ]
  }
}
