public import ClusterModel
import HostModel
import Limits
import Text

/// Computes which hosts may answer a request, and why each other host may not.
///
/// A decision among a thousand hosts has no time to build sentences or copy hosts. So the result
/// holds only rows of the view's table, and everything else is computed on demand.
///
/// A row is eligible if `HostNeed` does not refuse its host. The index has already applied the
/// rules that depend on the table alone, so the loop only compares numbers.
public struct Eligibility: Sendable {
  public struct Refusal: Hashable, Sendable {
    public var host: HostID
    /// The reason, worded to follow the host's name: "is suspended".
    public var reason: String
    /// Whether the host offers other models only. No change of its state then makes it eligible.
    var isOfModels: Bool
  }

  private let model: ModelID?
  private let constraints: InferenceConstraints
  let view: ClusterView
  /// Eligible rows, in the table's order.
  let rows: [Int]
  /// Eligible hosts whose context is too small for the estimated prompt: context tokens by row. The
  /// estimate may be wrong, so these hosts are not excluded but asked last.
  let small: [Int: Int]
  /// Ranks of the model at the eligible hosts, by row. Hosts of rank 0 are left out.
  let ranks: [Int: Int]

  /// Selects hosts by the state of their breakers. A host that `ClosedHosts` closes to the client
  /// counts as a host whose breaker is open.
  public enum Breakers: Hashable, Sendable {
    /// Hosts whose breakers are closed, or admit one request now as a probe.
    case admitting
    /// Hosts that only a breaker excludes. They are asked if no other host is left. If such a
    /// request were refused, breakers alone would cause an outage. `panicRequests` limits the
    /// requests in flight at each of these hosts.
    case shut
  }

  /// Maximum requests in flight at a host while a breaker excludes it.
  ///
  /// If the host fails its requests immediately, it is tried again as often as clients ask. If it
  /// does not answer at all, it holds no more connections than this.
  static func panicRequests(slots: Int?) -> Int {
    max(leastPanicRequests, (slots ?? HostSharing.assumedSlots).multipliedCapped(by: 2))
  }

  private static let leastPanicRequests = 16

  /// - Parameters:
  ///   - promptTokens: estimated tokens of the prompt. Hosts with a smaller context are asked last.
  ///   - breakers: whether to return hosts that breakers admit or hosts that breakers exclude.
  public init(
    model: ModelID?, constraints: InferenceConstraints, view: ClusterView, promptTokens: Int = 0,
    breakers: Breakers = .admitting
  ) {
    self.model = model
    self.constraints = constraints
    self.view = view
    let index = view.index
    let now = view.moment.sinceStart.inSeconds
    let requirements = Requirements(constraints, view)
    var rows: [Int] = []
    let offers = index.offers(of: model)
    rows.reserveCapacity(offers.count)
    var small: [Int: Int] = [:]
    var ranks: [Int: Int] = [:]
    for offer in offers {
      let pulse = view.pulses[offer.row]
      let isAdmitted =
        pulse.blockedUntil <= now
        && (view.closed.isEmpty || view.isOpen(offer.row, to: constraints.client))
      guard isAdmitted == (breakers == .admitting), requirements.allow(offer.row, view) else {
        continue
      }
      if breakers == .shut {
        let standing = view.standings[offer.row]
        guard standing.inFlight < Self.panicRequests(slots: standing.slots) else { continue }
      }
      rows.append(offer.row)
      if offer.rank > 0 { ranks[offer.row] = offer.rank }
      // The estimate is one token per four bytes, and a prompt has at most one token per byte. A
      // context of four times the estimate therefore always fits.
      guard offer.contextTokens / TokenEstimate.bytesPerToken < promptTokens,
        let model = model ?? index.chatModel(offer.row),
        offer.contextTokens
          < view.habits.tokens(estimated: promptTokens, at: view.table.hosts[offer.row].id, model)
      else { continue }
      small[offer.row] = offer.contextTokens
    }
    self.rows = rows
    self.small = small
    self.ranks = ranks
  }

  /// Computes eligibility from the table alone, to explain it without sending a request.
  public init(model: ModelID?, constraints: InferenceConstraints, table: HostTable) {
    self.init(model: model, constraints: constraints, view: ClusterView(table: table))
  }

  public var isEmpty: Bool { rows.isEmpty }

  /// Time until the first of the hosts that only breakers exclude admits a request again. `nil`
  /// means that there is no such host, so a retry would fail too.
  var untilBreakersAdmit: Duration? {
    let requirements = Requirements(constraints, view)
    return view.index.offers(of: model).lazy.map(\.row).filter { requirements.allow($0, view) }
      .compactMap(untilBreakerAdmits).min()
  }

  /// Time until the host's breaker and `ClosedHosts` admit a request. `nil` means that both admit a
  /// request now.
  private func untilBreakerAdmits(_ row: Int) -> Duration? {
    let moment = view.moment
    let open: Instant?
    switch view.standings[row].breaker {
    case .closed: open = nil
    case .open(let until): open = until
    // A probe is in flight. If the probe fails, the breaker opens for about this long or longer.
    case .halfOpen: open = moment + CircuitBreaker.Policy().firstOpen
    }
    let closed = view.closed.end(for: constraints.client, at: view.table.hosts[row].id)
    return [open, closed].compactMap { $0 }.filter { moment < $0 }.max()
      .map { moment.duration(to: $0) }
  }

  /// Whether a race costs nothing. The first host must be free. If there are other community hosts,
  /// at least one of them must be free, too.
  func isSecondFree(beside first: Candidate) -> Bool {
    guard first.host.isFree else { return false }
    var hasPriced = false
    for row in rows where !view.index.isFallback[row] {
      if view.index.isPriced[row] {
        hasPriced = true
      } else if view.table.hosts[row].id != first.host.id {
        return true
      }
    }
    return !hasPriced
  }

  public var candidates: [Candidate] { rows.map(candidate) }

  /// Rows whose context fits the prompt. If none fits, the rows with the largest context.
  func roomiest(of rows: [Int]) -> [Int] {
    guard !small.isEmpty else { return rows }
    let fitting = rows.filter { small[$0] == nil }
    guard fitting.isEmpty else { return fitting }
    let largest = rows.compactMap { small[$0] }.max()
    return rows.filter { small[$0] == largest }
  }

  func candidate(_ row: Int) -> Candidate {
    // A row is included only if its host offers the model, or any chat model if no model is named.
    let model = model ?? view.index.chatModel(row) ?? ModelID("")
    return Candidate(
      host: view.table.hosts[row], model: model, upstream: view.index.upstream(of: model, row))
  }

  /// Why hosts in the key's pools are not eligible. Hosts outside the pools are left out.
  public var refusals: [Refusal] {
    let eligible = Set(rows)
    return view.table.hosts.enumerated().compactMap { row, host in
      guard !eligible.contains(row), constraints.pools.admits(tags: host.tags) else { return nil }
      let refusal = refusal(of: row)
      return Refusal(
        host: host.id, reason: refusal?.description ?? "does not answer now",
        isOfModels: refusal?.isOfModels ?? false)
    }
  }

  /// A sentence that explains why no host can answer. It names no host outside the key's pools.
  public func explanation(model: ModelID?) -> String {
    let what = model.map { "model \($0)" } ?? "any chat model"
    guard !view.table.hosts.isEmpty else {
      return "no host can answer for \(what): no host is registered; add one with "
        + "`tutti hosts add URL`"
    }
    let refusals = refusals
    let others = view.table.hosts.count - rows.count - refusals.count
    // Operators read some lines, not a thousand. Reasons that an operator can remove come first.
    let near = refusals.filter { !$0.isOfModels }
    let shown = (near + refusals.filter(\.isOfModels)).prefix(20).map {
      "\($0.host) \($0.reason)"
    }
    let more = refusals.count > 20 ? ["and \(refusals.count - 20) more"] : []
    let outside =
      others > 0
      ? [
        "\(counted(others, "host")) \(others == 1 ? "is" : "are") in none of the key's host pools "
          + "(\(constraints.pools.summary))"
      ] : []
    let reasons = shown + more + outside
    return "no host can answer for \(what) now"
      + (reasons.isEmpty ? "" : ": " + reasons.joined(separator: "; "))
  }

  /// Why the host is not eligible. `nil` means that the host is excluded only because `Breakers`
  /// selects other hosts.
  private func refusal(of row: Int) -> HostNeed.Refusal? {
    need.refusal(
      of: view.table.hosts[row], in: view.activity(of: row, for: constraints.client),
      rules: view.index.rules)
  }

  private var need: HostNeed {
    HostNeed(
      model.map { .oneOf([$0]) } ?? .anyChat, dataPolicy: constraints.dataPolicy,
      pools: constraints.pools, required: constraints.require)
  }
}

/// Requirements of `HostNeed` that neither the index nor the breakers check.
///
/// The host must have responded recently, be trusted with the data, and be in one of the key's
/// pools. If a host is required, it must be this host.
private struct Requirements {
  /// Earliest time of an eligible host's last response, in seconds on the process's clock.
  private let answeredSince: Double
  private let policy: DataPolicy
  /// For each tag, by its number in the index: whether the key's pools include the tag. `nil` means
  /// that all hosts are included.
  private let pools: [Bool]?
  /// Row of the required host, or -1 if the table lacks this host. `nil` means that any row is
  /// allowed.
  private let row: Int?

  init(_ constraints: InferenceConstraints, _ view: ClusterView) {
    answeredSince = view.moment.sinceStart.inSeconds - HostNeed.longestSilence.inSeconds
    policy = constraints.dataPolicy
    pools = Self.pools(constraints.pools, view.index)
    row = constraints.require.map { view.index.row(of: $0) ?? -1 }
  }

  func allow(_ row: Int, _ view: ClusterView) -> Bool {
    view.pulses[row].lastAnswered >= answeredSince
      && (policy == .any || view.index.trust[row] >= policy)
      && (self.row == nil || self.row == row)
      && (pools.map { pools in view.index.tags[row].contains { pools[$0] } } ?? true)
  }

  private static func pools(_ pools: HostPools, _ index: HostIndex) -> [Bool]? {
    guard !pools.names.isEmpty else { return nil }
    var included = Array(repeating: false, count: index.tagNumbers.count)
    for name in pools.names {
      if let number = index.tagNumbers[name] { included[number] = true }
    }
    return included
  }
}
