public import ClusterModel
import HostModel

/// Chooses among eligible hosts.
///
/// Draws two hosts at random from the best bucket and takes the less loaded one. This is nearly as
/// good as taking the least loaded of all hosts. Processes that decide at the same moment then do
/// not all choose the same host. If idle hosts of the best bucket have different prices, only the
/// cheapest ones are drawn.
///
/// The choice does not depend on dictionary order or `Hasher`, so the same view and seed give the
/// same hosts everywhere.
public enum HostChoice {
  /// Preferences and requirements of a request.
  public struct Wish: Hashable, Sendable {
    /// Hosts to avoid, unless no other host is left.
    var avoid: [HostID]
    /// Host to choose first, if it is eligible.
    var prefer: HostID?
    /// Hosts to exclude, for example because they were already asked.
    var excluding: [HostID]
    /// Affinity key. Requests with equal affinity keys prefer the same host, because it has the
    /// conversation's prefix in its cache. `nil` means no such preference.
    ///
    /// The preferred host is taken only if it is in the best bucket and has a free slot.
    public var affinity: [UInt8]?
    /// Whether only hosts with a free slot may be chosen. Set for a second leg.
    var needsFreeSlot: Bool
    /// Whether to choose the host with the lowest expected time per token. Set if the answer has
    /// begun, or if the request has a preferred host.
    var soonest: Bool
    /// Whether only hosts without a price may be chosen.
    var needsNoPrice: Bool
    /// Whether only hosts whose context fits the estimated prompt may be chosen.
    var needsRoom: Bool
    /// Whether the community's hosts have missed the deadline. The operator's own hosts then come
    /// first.
    var isPastDeadline: Bool
    /// The only rank of hosts that may be chosen (`ModelOffer.rank`). `nil` means that the best rank
    /// with a free slot is chosen. Set for a second leg, so that different models never race.
    var rank: Int?

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

  /// Chooses at most `count` different hosts, in the order in which to ask them.
  ///
  /// A host of the fallback tier is never chosen for a race. It is chosen only if the request is
  /// past its deadline or no community host is left.
  public static func choose(
    _ count: Int, from eligible: Eligibility, _ wish: Wish = Wish(), using rng: inout SplitMix64
  ) -> [Candidate] {
    let view = eligible.view
    let (rows, isFallback) = pool(eligible.rows, view, wish, eligible)
    let most = isFallback ? min(count, 1) : count
    guard most > 0, let preferred = wish.prefer.flatMap(view.index.row), rows.contains(preferred)
    else {
      if wish.soonest { return soonest(rows, view, &rng).prefix(most).map(eligible.candidate) }
      return pick(most, rows, view, wish.affinity, &rng).map { $0.candidate(of: eligible) }
    }
    let others = pick(most - 1, rows.filter { $0 != preferred }, view, wish.affinity, &rng)
    return [eligible.candidate(preferred)] + others.map { $0.candidate(of: eligible) }
  }

  /// Chooses among given candidates. Candidates that are not in the view's table are ignored.
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
      .compactMap { pick in
        var candidate = byRow[pick.row]
        candidate?.price = pick.price
        return candidate
      }
  }

  // MARK: - Filtering

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
    if wish.needsFreeSlot { rows.removeAll { !hasFreeSlot($0, view) } }
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
    if let eligible, !eligible.ranks.isEmpty { rows = bestRank(of: rows, wish, eligible) }
    return (rows, isFallback)
  }

  /// The hosts of the best rank that has a free slot. If no host has a free slot, the hosts of the
  /// best rank.
  private static func bestRank(
    of rows: [Int], _ wish: Wish, _ eligible: Eligibility
  ) -> [Int] {
    func rank(_ row: Int) -> Int { eligible.ranks[row] ?? 0 }
    if let only = wish.rank { return rows.filter { rank($0) == only } }
    let free = rows.filter { hasFreeSlot($0, eligible.view) }
    let best = (free.isEmpty ? rows : free).map(rank).min()
    return rows.filter { rank($0) == best }
  }

  private static func hasFreeSlot(_ row: Int, _ view: ClusterView) -> Bool {
    view.pulses[row].busyUntil <= view.moment.sinceStart.inSeconds
      && view.standings[row].freeSlots != 0
  }

  // MARK: - Choosing

  /// Relative difference below which expected times count as equal. Rates are not measured more
  /// exactly than this.
  private static let sameTime = 0.1

  /// The host with the lowest expected time per token, including its queue and failed attempts. One
  /// of the cheapest hosts with nearly this time (`sameTime`) is drawn at random.
  ///
  /// An unmeasured host counts as the slowest, because the client waits and a choice cannot be
  /// taken back. Times to the first token are not compared, because the length of the rest of the
  /// answer is unknown.
  private static func soonest(
    _ rows: [Int], _ view: ClusterView, _ rng: inout SplitMix64
  ) -> [Int] {
    func speed(_ standing: HostStanding) -> HostSpeed {
      HostSpeed(tokensPerSecond: standing.tokensPerSecond, slowdown: standing.slowdown)
    }
    var known = SpeedRange()
    for row in rows { known.include(speed(view.standings[row])) }
    let now = view.moment.sinceStart.inSeconds
    let seconds = rows.map { row in
      let standing = view.standings[row]
      let time = FinishTime(of: speed(standing), among: known, belief: .cautious)
      var stretch = time.stretch(inFlight: standing.inFlight, slots: standing.slots)
      // A host that reported itself busy probably refuses the request once before it accepts it.
      if view.pulses[row].busyUntil > now { stretch += 1 }
      let fails = standing.isSuspect ? 0.9 : min(max(standing.errorRate, 0), 0.9)
      return time.writing(1) * stretch / (1 - fails)
    }
    guard let least = seconds.min() else { return [] }
    var best = rows.indices.filter { seconds[$0] <= least * (1 + sameTime) }
    if view.index.hasPrices, let cheapest = best.map({ view.index.prices[rows[$0]] }).min() {
      best.removeAll { view.index.prices[rows[$0]] > cheapest }
    }
    return [rows[best[Int.random(in: 0..<best.count, using: &rng)]]]
  }

  private struct Scored {
    var row: Int
    var load: Double
    var score: Double
  }

  private struct Pick {
    var row: Int
    /// How the price decided. `nil` means that it did not decide.
    var price: PriceChoice?

    func candidate(of eligible: Eligibility) -> Candidate {
      var candidate = eligible.candidate(row)
      candidate.price = price
      return candidate
    }
  }

  private static func pick(
    _ count: Int, _ rows: [Int], _ view: ClusterView, _ affinity: [UInt8]?,
    _ rng: inout SplitMix64
  ) -> [Pick] {
    guard count > 0, !rows.isEmpty else { return [] }
    var rest = scored(rows, view)
    var chosen: [Pick] = []
    while chosen.count < count, !rest.isEmpty {
      var bucket = bestBucket(&rest, view.score)
      let price = view.index.hasPrices ? keepCheapest(&bucket, of: &rest, view.index) : nil
      let place: Int
      if chosen.isEmpty, let affinity,
        let home = self.home(of: affinity, rest[..<bucket], view)
      {
        place = home
      } else {
        place = betterOfTwo(rest[..<bucket], view.score.bucketWidth, &rng)
      }
      chosen.append(Pick(row: rest[place].row, price: price))
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

  /// Moves the hosts of the best bucket to the front, and returns their number.
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

  /// Limits the bucket to its cheapest idle hosts, and moves them to the front.
  ///
  /// Load comes first: if no host or only one is idle, the bucket stays as it is. Otherwise a cheap
  /// host would get a queue while others are idle.
  /// - Parameter bucket: number of hosts of the bucket, which are at the front of `hosts`.
  /// - Returns: how the price decided. `nil` means that the bucket stays as it is.
  private static func keepCheapest(
    _ bucket: inout Int, of hosts: inout [Scored], _ index: HostIndex
  ) -> PriceChoice? {
    let idle = hosts[..<bucket].filter { $0.load < idleLoad }.map(\.row)
    guard let cheapest = idle.min(by: { index.prices[$0] < index.prices[$1] }) else { return nil }
    let least = index.prices[cheapest]
    let dearer = idle.filter { index.prices[$0] > least }
    guard let next = dearer.min(by: { index.prices[$0] < index.prices[$1] }) else { return nil }
    var end = 0
    for place in 0..<bucket
    where hosts[place].load < idleLoad && index.prices[hosts[place].row] == least {
      hosts.swapAt(place, end)
      end += 1
    }
    bucket = end
    let (host, other) = (index.table.hosts[cheapest], index.table.hosts[next])
    return PriceChoice(
      hosts: idle.count, price: host.isFree ? nil : host.price, next: other.price)
  }

  /// The idle host of the bucket that an affinity key prefers. `nil` means that no host is idle.
  /// Each key ranks all hosts in an order of its own (rendezvous hashing).
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

  /// Takes the less loaded of two random hosts. Exception: if their scores differ by more than
  /// `width`, which load tolerance permits, the better score decides.
  private static func betterOfTwo(
    _ bucket: ArraySlice<Scored>, _ width: Double, _ rng: inout SplitMix64
  ) -> Int {
    // If there are idle hosts, only these are drawn: a slightly better history is not worth a
    // queue.
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

  /// Load of a host whose slots are all taken. A host with a lower load is idle.
  private static let idleLoad = 0.5

  /// Position of the idle host with this number, counted from 0. If `all` is `true`, busy hosts
  /// count too.
  private static func place(_ number: Int, _ bucket: ArraySlice<Scored>, _ all: Bool) -> Int {
    guard !all else { return number }
    var left = number
    for place in bucket.indices where bucket[place].load < idleLoad {
      if left == 0 { return place }
      left -= 1
    }
    return bucket.startIndex
  }

  /// Position of the next idle host after a position. If `all` is `true`, busy hosts count too.
  private static func place(
    behind place: Int, _ bucket: ArraySlice<Scored>, _ all: Bool
  ) -> Int {
    bucket.indices.first { $0 > place && (all || bucket[$0].load < idleLoad) } ?? place
  }
}
