/// A budget with its spending: the amount per period, and spent credits.
///
/// Only `setBack(to:)` sets the budget's clock back. Any other event with an earlier time counts at
/// the latest time seen. Times are milliseconds since 1970.
public struct SpendingBudget: Hashable, Sendable {
  /// Spending that expires at the same time.
  struct Bucket: Hashable, Codable {
    let expiry: Int64
    var amount: MicroCredits
  }

  /// A threshold that was reported in a warning.
  struct Warning: Hashable, Codable {
    let threshold: Int
    /// The threshold is not reported again before this time, unless the terms change.
    let quietUntil: Int64
  }

  public private(set) var terms: BudgetTerms
  /// Buckets sorted by expiry. A calendar budget has at most one, a rolling budget at most 61.
  var buckets: [Bucket] = []
  var warned: [Warning] = []
  /// Latest time seen, within `UTCDate.times`.
  var clock = UTCDate.times.lowerBound

  public init(_ terms: BudgetTerms) { self.terms = terms }

  // MARK: - Queries

  /// Spent credits that still count against the budget at `time`.
  public func spent(at time: Int64) -> MicroCredits {
    let now = present(time)
    // The sum cannot overflow, because `spend(_:at:)` checks the sum of all buckets.
    return MicroCredits(buckets.reduce(0) { $0 + ($1.expiry > now ? $1.amount.count : 0) })
  }

  /// The next time at which spent credits become available again.
  ///
  /// For a calendar budget, it is the end of the period. For a rolling budget, it is the first
  /// expiry after which credits remain if no more are spent. If no credits will remain, it is the
  /// time at which all spending has expired. `nil` means that no spending will expire.
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

  /// Records credits spent at a time.
  ///
  /// - Returns: thresholds that the spending has reached with this amount, in thousandths of the
  ///   budget's amount. Each threshold is returned at most once per period.
  public mutating func spend(_ amount: MicroCredits, at time: Int64) throws(MoneyError) -> [Int] {
    guard amount >= .zero else { throw .negative }
    // The sum is checked before any change, so that a failure leaves the budget as it is.
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

  /// Replaces amount, window and warnings.
  ///
  /// If the window changes, all spending that still counts is moved to the present time. A
  /// threshold that is no longer reached causes a new warning when it is reached again.
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

  /// Sets the budget's clock back after the machine's clock had jumped ahead.
  ///
  /// Spending that counts now is moved to `time`. So no credits become free at once, and they do
  /// not stay blocked until the wrong time.
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

  /// Time at which spending at a time expires. `time` must not be before the latest time seen.
  private func expiry(ofSpendingAt time: Int64) -> Int64 {
    // Unexpired spending of a calendar budget belongs to the present period.
    if terms.window.kind == .calendar, let last = buckets.last, last.expiry > time {
      return last.expiry
    }
    return terms.window.expiry(ofSpendingAt: time)
  }

  private func present(_ time: Int64) -> Int64 { max(UTCDate.clamped(time), clock) }

  /// Moves the clock forward, in the same number of steps for a minute and for a hundred years.
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
  /// Time before which a threshold that was reported at `time` is not reported again.
  fileprivate func quietPeriodEnd(from time: Int64) -> Int64 {
    switch kind {
    case .calendar: period.end(ofPeriodAt: time)
    case .rolling: UTCDate.clamped(time) + period.rollingLength
    }
  }
}
