public import ClusterModel

/// Chooses among hosts that all may answer.
///
/// The best bucket, two drawn from it, the less busy of the two: nearly as good as the least busy of
/// all, and processes that decide at the same moment do not all meet at one host. Nothing depends on
/// the order of a dictionary or on `Hasher`: the same view and seed give the same hosts everywhere.
public enum HostChoice {
  /// What a request wants of the choice.
  public struct Wish: Hashable, Sendable {
    /// Left alone as long as there is another.
    public var avoid: [HostID]
    /// Chosen first, as long as it is among those that come into question.
    public var prefer: HostID?
    /// Never chosen: those that were asked already.
    public var excluding: [HostID]
    /// Equal keys prefer equal hosts, as long as these are in the best bucket and have a free slot:
    /// the host that knows the conversation has its prefix cached.
    public var affinity: [UInt8]?
    /// For a second leg: only hosts with a free slot.
    public var needsFreeSlot: Bool
    /// Somebody is waiting for the end: the host that is expected to be there soonest, and no chance.
    public var soonest: Bool
    /// Only hosts that ask nothing for it.
    public var needsNoPrice: Bool
    /// Only hosts that have room for the prompt, as far as it can be estimated.
    public var needsRoom: Bool
    /// The community has missed the deadline: the operator's own hosts come first.
    public var isPastDeadline: Bool

    public init(
      avoid: [HostID] = [], prefer: HostID? = nil, excluding: [HostID] = [],
      affinity: [UInt8]? = nil, needsFreeSlot: Bool = false, needsNoPrice: Bool = false,
      needsRoom: Bool = false, soonest: Bool = false, isPastDeadline: Bool = false
    ) {
      self.avoid = avoid
      self.prefer = prefer
      self.excluding = excluding
      self.affinity = affinity
      self.needsFreeSlot = needsFreeSlot
      self.soonest = soonest
      self.needsNoPrice = needsNoPrice
      self.needsRoom = needsRoom
      self.isPastDeadline = isPastDeadline
    }
  }

  /// Chooses at most `count` different hosts, the first to be asked first.
  ///
  /// Hosts of the fallback tier are chosen alone, never to race, and only when the request is past
  /// its deadline or no host of the community is left.
  public static func choose(
    _ count: Int, from eligible: Eligibility, _ wish: Wish = Wish(), using rng: inout SplitMix64
  ) -> [Candidate] {
    let view = eligible.view
    let (rows, isFallback) = pool(eligible.rows, view, wish, eligible)
    let most = isFallback ? min(count, 1) : count
    guard most > 0, let preferred = wish.prefer.flatMap(view.index.row), rows.contains(preferred)
    else {
      if wish.soonest { return soonest(rows, view, &rng).prefix(most).map(eligible.candidate) }
      return pick(most, rows, view, wish.affinity, &rng).map(eligible.candidate)
    }
    let others = pick(most - 1, rows.filter { $0 != preferred }, view, wish.affinity, &rng)
    return ([preferred] + others).map(eligible.candidate)
  }

  /// The same for a list of candidates; those that are not in the view's table are left out.
  public static func choose(
    _ count: Int, from candidates: [Candidate], view: ClusterView, avoid: [HostID] = [],
    affinity: [UInt8]? = nil, using rng: inout SplitMix64
  ) -> [Candidate] {
    var byRow: [Int: Candidate] = [:]
    var rows: [Int] = []
    for candidate in candidates {
      guard let row = view.index.row(of: candidate.host.id), byRow[row] == nil else { continue }
      byRow[row] = candidate
      rows.append(row)
    }
    let (pool, isFallback) = pool(rows, view, Wish(avoid: avoid))
    return pick(isFallback ? min(count, 1) : count, pool, view, affinity, &rng)
      .compactMap { byRow[$0] }
  }

  // MARK: - Who comes into question

  private static func pool(
    _ rows: [Int], _ view: ClusterView, _ wish: Wish, _ eligible: Eligibility? = nil
  ) -> (rows: [Int], isFallback: Bool) {
    let index = view.index
    var rows = rows
    if !wish.excluding.isEmpty {
      let excluded = wish.excluding.compactMap(index.row)
      rows.removeAll { excluded.contains($0) }
    }
    if let eligible, !eligible.small.isEmpty {
      if wish.needsRoom { rows.removeAll { eligible.small[$0] != nil } }
      rows = eligible.roomiest(of: rows)
    }
    if wish.needsFreeSlot {
      let now = view.moment.sinceStart.inSeconds
      rows.removeAll { view.pulses[$0].busyUntil > now || view.standings[$0].freeSlots == 0 }
    }
    if wish.needsNoPrice { rows.removeAll { index.isPriced[$0] } }
    var isFallback = false
    if rows.contains(where: { index.isFallback[$0] }) {
      let hasCommunity = rows.contains { !index.isFallback[$0] }
      isFallback = wish.isPastDeadline || !hasCommunity
      rows.removeAll { index.isFallback[$0] != isFallback }
    }
    if !wish.avoid.isEmpty {
      let avoided = wish.avoid.compactMap(index.row)
      let wanted = rows.filter { !avoided.contains($0) }
      if !wanted.isEmpty { rows = wanted }
    }
    return (rows, isFallback)
  }

  // MARK: - Who of them

  /// Expected times that differ by less than this share are the same: rates are not known better.
  private static let sameTime = 0.1

  /// The one that needs least time for a token, beside what it has to do already. One that often fails
  /// needs more than one try; of one that nobody has measured the slowest is expected.
  private static func soonest(
    _ rows: [Int], _ view: ClusterView, _ rng: inout SplitMix64
  ) -> [Int] {
    let slowest = rows.compactMap { view.standings[$0].tokensPerSecond }.min() ?? 1
    let now = view.moment.sinceStart.inSeconds
    let seconds = rows.map { row in
      let standing = view.standings[row]
      let slots = Double(max(1, standing.slots ?? HostSharing.assumedSlots))
      var inLine = max(1, Double(standing.inFlight + 1) / slots)
      if view.pulses[row].busyUntil > now { inLine += 1 }
      let fails = standing.isSuspect ? 0.9 : min(max(standing.errorRate, 0), 0.9)
      return inLine / max(standing.tokensPerSecond ?? slowest, 0.01) / (1 - fails)
    }
    guard let least = seconds.min() else { return [] }
    let best = rows.indices.filter { seconds[$0] <= least * (1 + sameTime) }
    return [rows[best[Int.random(in: 0..<best.count, using: &rng)]]]
  }

  private struct Scored {
    var row: Int
    var load: Double
    var score: Double
  }

  private static func pick(
    _ count: Int, _ rows: [Int], _ view: ClusterView, _ affinity: [UInt8]?,
    _ rng: inout SplitMix64
  ) -> [Int] {
    guard count > 0, !rows.isEmpty else { return [] }
    var rest = scored(rows, view)
    var chosen: [Int] = []
    while chosen.count < count, !rest.isEmpty {
      let bucket = bestBucket(&rest, view.score)
      let place: Int
      if chosen.isEmpty, let affinity,
        let home = self.home(of: affinity, rest[..<bucket], view)
      {
        place = home
      } else {
        place = betterOfTwo(rest[..<bucket], view.score.bucketWidth, &rng)
      }
      chosen.append(rest[place].row)
      rest.remove(at: place)
    }
    return chosen
  }

  private static func scored(_ rows: [Int], _ view: ClusterView) -> [Scored] {
    let now = view.moment.sinceStart.inSeconds
    let weights = view.score.weights
    let fresh = view.score.freshFor.inSeconds
    let perSecond = 1 / max(view.score.staleAfter.inSeconds - fresh, 1e-3)
    let pulses = view.pulses
    return rows.map { row in
      let load = pulses[row].load(at: now)
      let quality = pulses[row].quality(at: now, weights, fresh: fresh, perSecond: perSecond)
      return Scored(row: row, load: load, score: weights.load * load + quality)
    }
  }

  /// Moves the best bucket to the front, in the order it had, and says how long it is.
  private static func bestBucket(_ hosts: inout [Scored], _ score: HostScore) -> Int {
    var best = hosts[0]
    for host in hosts where host.score < best.score { best = host }
    let limit = best.score + score.bucketWidth
    var end = 0
    for place in hosts.indices {
      let busier = min(max(hosts[place].load - best.load, 0), score.loadTolerance)
      guard hosts[place].score - score.weights.load * busier <= limit else { continue }
      if place != end { hosts.swapAt(place, end) }
      end += 1
    }
    return end
  }

  /// Rendezvous hashing: each key has its own order of the hosts, and takes the first that is there.
  private static func home(
    of key: [UInt8], _ bucket: ArraySlice<Scored>, _ view: ClusterView
  ) -> Int? {
    let hash = StableHash.of(key)
    var best: (weight: UInt64, place: Int)?
    for place in bucket.indices {
      let row = bucket[place].row
      guard bucket[place].load < idleLoad else { continue }
      let weight = StableHash.mixed(hash ^ view.index.hashes[row])
      if best.map({ weight > $0.weight }) ?? true { best = (weight, place) }
    }
    return best?.place
  }

  /// Within a bucket all are equally good, so the less busy one; but two of it may be at its two
  /// ends, and those that tolerance let in are worse for their load.
  private static func betterOfTwo(
    _ bucket: ArraySlice<Scored>, _ width: Double, _ rng: inout SplitMix64
  ) -> Int {
    // Where somebody is idle, nobody waits in a queue for the sake of a slightly better past.
    let idle = bucket.count { $0.load < idleLoad }
    let all = idle == 0
    let count = all ? bucket.count : idle
    let first = place(Int.random(in: 0..<count, using: &rng), bucket, all)
    guard count > 1 else { return first }
    var second = place(Int.random(in: 0..<(count - 1), using: &rng), bucket, all)
    if second >= first { second = place(behind: second, bucket, all) }
    let (a, b) = (bucket[first], bucket[second])
    if abs(a.score - b.score) > width { return a.score < b.score ? first : second }
    return b.load < a.load ? second : first
  }

  /// From here on every slot is taken.
  private static let idleLoad = 0.5

  /// The place of the idle host of that number, or of any.
  private static func place(_ number: Int, _ bucket: ArraySlice<Scored>, _ all: Bool) -> Int {
    guard !all else { return number }
    var left = number
    for place in bucket.indices where bucket[place].load < idleLoad {
      if left == 0 { return place }
      left -= 1
    }
    return bucket.startIndex
  }

  /// The next one behind that place.
  private static func place(
    behind place: Int, _ bucket: ArraySlice<Scored>, _ all: Bool
  ) -> Int {
    bucket.indices.first { $0 > place && (all || bucket[$0].load < idleLoad) } ?? place
  }
}
