/// A budget with its spending: the amount per period, and spent credits.
///
/// Time runs backwards in a budget only with `setBack(to:)`: any other event with an earlier time
/// counts at the latest time seen. Times are milliseconds since 1970.
public struct SpendingBudget: Hashable, Sendable {
  /// Spending that expires at the same time.
  struct Bucket: Hashable, Codable {
    let expiry: Int64
    var amount: MicroCredits
  }

  /// A threshold that was reported.
  struct Warning: Hashable, Codable {
    let threshold: Int
    /// It is not reported again before this time.
    let quietUntil: Int64
  }

  public private(set) var terms: BudgetTerms
  /// By expiry. One for a calendar period, at most 61 for a rolling one.
  var buckets: [Bucket] = []
  var warned: [Warning] = []
  /// Latest time seen, within `UTCDate.times`.
  var clock = UTCDate.times.lowerBound

  public init(_ terms: BudgetTerms) { self.terms = terms }

  // MARK: - Queries

  /// Credits spent in the period at `time`.
  public func spent(at time: Int64) -> MicroCredits {
    let now = present(time)
    // Cannot overflow: `spend(_:at:)` checks the sum of all buckets.
    return MicroCredits(buckets.reduce(0) { $0 + ($1.expiry > now ? $1.amount.count : 0) })
  }

  /// The next time at which spending expires.
  ///
  /// For a calendar budget it is the end of the period. For a rolling budget it is the first time
  /// at which credits remain if no more is spent. If none ever do, it is the time at which all
  /// spending has expired. `nil` means that no spending will expire.
  public func resets(at time: Int64) -> Int64? {
    let now = present(time)
    if terms.window.kind == .calendar { return expiry(ofSpendingAt: now) }
    let live = buckets.filter { $0.expiry > now }
    var remaining = Int128(terms.amount.count)
    for bucket in live { remaining -= Int128(bucket.amount.count) }
    for bucket in live {
      remaining += Int128(bucket.amount.count)
      if remaining > 0 { return bucket.expiry }
    }
    return live.last?.expiry
  }

  // MARK: - Changes

  /// Records credits spent at a time, and returns the thresholds in thousandths that they crossed.
  ///
  /// Each threshold is returned once per period.
  public mutating func spend(_ amount: MicroCredits, at time: Int64) throws(MoneyError) -> [Int] {
    guard amount >= .zero else { throw .negative }
    // Before any change: a sum that does not fit leaves the budget as it is.
    let total = try spent(at: time).adding(amount)
    advance(to: time)
    guard amount > .zero else { return [] }
    let expiry = expiry(ofSpendingAt: clock)
    if let last = buckets.last, last.expiry == expiry {
      buckets[buckets.count - 1].amount = MicroCredits(last.amount.count + amount.count)
    } else {
      buckets.append(Bucket(expiry: expiry, amount: amount))
    }
    return warn(spent: total)
  }

  /// Replaces amount, period and warnings.
  ///
  /// If the window changes, the spending so far counts as spent now. Thresholds that are no longer
  /// reached warn again.
  public mutating func setTerms(_ new: BudgetTerms, at time: Int64) {
    advance(to: time)
    let spent = spent(at: clock)
    if new.window != terms.window {
      let expiry = new.window.expiry(ofSpendingAt: clock)
      buckets = spent > .zero ? [Bucket(expiry: expiry, amount: spent)] : []
    }
    terms = new
    warned.removeAll {
      !new.warnings.contains($0.threshold) || !new.isReached($0.threshold, by: spent)
    }
  }

  /// Follows a clock that was set back after it had jumped ahead.
  ///
  /// Spending that counts now counts as spent at `time`: no credits return at once, and the budget
  /// does not wait until the wrong time comes.
  public mutating func setBack(to time: Int64) {
    let time = UTCDate.clamped(time)
    guard time < clock else { return }
    let spent = spent(at: clock)
    clock = time
    let expiry = terms.window.expiry(ofSpendingAt: time)
    buckets = spent > .zero ? [Bucket(expiry: expiry, amount: spent)] : []
    let quiet = terms.window.quietPeriodEnd(from: time)
    warned = warned.map {
      Warning(threshold: $0.threshold, quietUntil: min($0.quietUntil, quiet))
    }
  }

  /// When spending at a time expires, not before the latest time seen.
  private func expiry(ofSpendingAt time: Int64) -> Int64 {
    // Live spending of a calendar budget is of the present period.
    if terms.window.kind == .calendar, let last = buckets.last, last.expiry > time {
      return last.expiry
    }
    return terms.window.expiry(ofSpendingAt: time)
  }

  private func present(_ time: Int64) -> Int64 { max(UTCDate.clamped(time), clock) }

  /// Takes the same number of steps for a minute and for a hundred years.
  private mutating func advance(to time: Int64) {
    let now = present(time)
    let terms = terms
    clock = now
    buckets.removeAll { $0.expiry <= now }
    let spent = spent(at: now)
    warned.removeAll { $0.quietUntil <= now && !terms.isReached($0.threshold, by: spent) }
  }

  private mutating func warn(spent: MicroCredits) -> [Int] {
    let crossed = terms.warnings.filter { threshold in
      terms.isReached(threshold, by: spent) && !warned.contains { $0.threshold == threshold }
    }
    guard !crossed.isEmpty else { return [] }
    let quietUntil = terms.window.quietPeriodEnd(from: clock)
    warned += crossed.map { Warning(threshold: $0, quietUntil: quietUntil) }
    return crossed
  }
}

extension BudgetWindow {
  /// Time until which a warning at `time` is not repeated.
  fileprivate func quietPeriodEnd(from time: Int64) -> Int64 {
    switch kind {
    case .calendar: period.end(ofPeriodAt: time)
    case .rolling: UTCDate.clamped(time) + period.rollingLength
    }
  }
}
