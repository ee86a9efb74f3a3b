public import ClusterModel
import Limits

/// Requests and tokens of keys for metrics, with a limited number of label values.
///
/// The keys with the most tokens of the last day have a label of their own. All other keys are
/// counted together. A key takes the place of the named key with the fewest recent tokens only
/// after it has used more than twice as many, so that two similar keys do not alternate. The counts
/// of the replaced key are dropped: its series ends, and a new one begins at zero if the key is
/// named again.
public struct KeyTraffic: Sendable {
  public struct Counts: Hashable, Sendable {
    public private(set) var requests = 0
    public private(set) var promptTokens = 0
    public private(set) var completionTokens = 0

    fileprivate mutating func add(_ usage: Usage) {
      requests = requests.addingCapped(1)
      promptTokens = promptTokens.addingCapped(max(0, usage.promptTokens))
      completionTokens = completionTokens.addingCapped(max(0, usage.completionTokens))
    }
  }

  private struct Named: Sendable {
    var key: KeyID
    var counts = Counts()
  }

  /// Label of all keys without a label of their own.
  static let otherLabel = "other"

  private let capacity: Int
  private var named: [Named] = []
  private var others = Counts()
  private var recent: RecentTable<KeyID, SlidingCount>

  /// - Parameters:
  ///   - capacity: number of keys with a label of their own. `nil` means `access.key_series`.
  ///   - maximumKeys: number of keys whose recent tokens are remembered. A further key replaces the
  ///     one that made no request for longest. `nil` means as many as a full access table has.
  public init(capacity: Int? = nil, maximumKeys: Int? = nil) {
    self.capacity = max(capacity ?? Limits.accessKeySeries.value, 1)
    recent = RecentTable(capacity: maximumKeys ?? Limits.accessKeys.value)
  }

  /// Counts of the named keys. The counts of all other keys come last, if there are any.
  public var series: [(label: String, counts: Counts)] {
    let own = named.map { (label: $0.key.description, counts: $0.counts) }
    return others.requests > 0 ? own + [(Self.otherLabel, others)] : own
  }

  /// Counts a request that ended.
  public mutating func record(_ key: KeyID, _ usage: Usage, at now: Instant) {
    let second = now.second
    let tokens = recent.use(key, initial: SlidingCount(.day)) { count in
      count.advance(to: second)
      _ = count.add(usage.totalTokens, at: second)
      return count.sum
    }
    guard let place = place(of: key, recentTokens: tokens, at: second) else {
      others.add(usage)
      return
    }
    named[place].counts.add(usage)
  }

  /// Index of the key in `named`. Adds the key if there is room, or if it may replace a named key.
  /// `nil` means that the key is counted with the others.
  private mutating func place(of key: KeyID, recentTokens: Int, at second: Int64) -> Int? {
    if let place = named.firstIndex(where: { $0.key == key }) { return place }
    guard named.count >= capacity else {
      named.append(Named(key: key))
      return named.count - 1
    }
    var least = (place: 0, tokens: Int.max)
    for (place, entry) in named.enumerated() {
      let tokens = self.recentTokens(of: entry.key, at: second)
      if tokens < least.tokens { least = (place, tokens) }
    }
    guard recentTokens / 2 > least.tokens else { return nil }
    named[least.place] = Named(key: key)
    return least.place
  }

  private mutating func recentTokens(of key: KeyID, at second: Int64) -> Int {
    recent.change(key) { count in
      count.advance(to: second)
      return count.sum
    } ?? 0
  }
}
