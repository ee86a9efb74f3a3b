import ClusterModel

/// Recent history of an integer level, such as requests in flight. Computes its mean over time.
struct TimeWeightedMean: Hashable, Sendable {
  private struct Change: Hashable, Sendable {
    var at: Instant
    var level: Int
    /// Integral of the level up to `at`, in level × seconds.
    var area: Double
  }

  /// Maximum changes kept. At a host that answers several requests at once, they usually cover more
  /// than a minute. A mean over a longer time covers only the kept changes.
  static let remembered = 64

  private var changes: [Change] = []

  /// - Parameter now: time of the change. A time before the last change counts as the time of the
  ///   last change.
  mutating func set(_ level: Int, now: Instant) {
    guard let last = changes.last else {
      changes.append(Change(at: now, level: level, area: 0))
      return
    }
    guard level != last.level else { return }
    let now = max(now, last.at)
    if changes.count == Self.remembered { changes.removeFirst() }
    changes.append(Change(at: now, level: level, area: Self.area(now, last)))
  }

  /// - Returns: the mean over the last `time`, weighted by time. It is 0 if no level was set.
  func mean(over time: Duration, until now: Instant) -> Double {
    guard let first = changes.first, let last = changes.last else { return 0 }
    let end = max(now, last.at)
    let start = max(Instant(sinceStart: end.sinceStart - time), first.at)
    let seconds = start.duration(to: end).inSeconds
    guard seconds > 0, let before = changes.last(where: { $0.at <= start }) else {
      return Double(last.level)
    }
    return (Self.area(end, last) - Self.area(start, before)) / seconds
  }

  private static func area(_ at: Instant, _ change: Change) -> Double {
    change.area + Double(change.level) * change.at.duration(to: at).inSeconds
  }
}
