import Limits
public import ClusterModel
import Text

/// Computes which hosts may answer a request, and why each other host may not.
///
/// A decision among a thousand hosts has no time to build sentences or copy hosts. So the result
/// holds rows of the view's table, and everything else is computed on demand.
public struct Eligibility: Sendable {
  public struct Refusal: Hashable, Sendable {
    public var host: HostID
    /// Worded to follow the host's name in a sentence: "is suspended".
    public var reason: String
  }

  private let model: ModelID?
  private let constraints: InferenceConstraints
  let view: ClusterView
  /// Eligible rows, in the table's order.
  let rows: [Int]
  /// Contexts of the eligible hosts that are too small for the estimated prompt. The estimate may
  /// be wrong, so these hosts are asked last.
  let small: [Int: Int]

  /// Selects hosts by the state of their breakers.
  public enum Breakers: Hashable, Sendable {
    /// Hosts whose breakers are closed, or admit one request now.
    case admitting
    /// Hosts that only a breaker excludes. They are asked if no other host is left, because
    /// refusing the request would be an outage of the cluster's own making. `panicRequests` limits
    /// the requests in flight at each.
    case shut
  }

  /// Maximum requests in flight at a host while a breaker excludes it. A host that fails all of
  /// them is retried as often as clients ask; one that hangs holds no more connections than this.
  static func panicRequests(slots: Int?) -> Int {
    max(leastPanicRequests, (slots ?? HostSharing.assumedSlots).multipliedCapped(by: 2))
  }

  private static let leastPanicRequests = 16

  /// - Parameters:
  ///   - promptTokens: estimated; hosts with a smaller context are asked last.
  ///   - breakers: which hosts to return.
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
      // One token per byte is the maximum, which is four times the estimate.
      guard offer.contextTokens / TokenEstimate.bytesPerToken < promptTokens,
        let model = model ?? index.chatModel(offer.row),
        offer.contextTokens
          < view.habits.tokens(estimated: promptTokens, at: view.table.hosts[offer.row].id, model)
      else { continue }
      small[offer.row] = offer.contextTokens
    }
    self.rows = rows
    self.small = small
  }

  /// Uses the table alone, to explain eligibility without sending a request.
  public init(model: ModelID?, constraints: InferenceConstraints, table: HostTable) {
    self.init(model: model, constraints: constraints, view: ClusterView(table: table))
  }

  public var isEmpty: Bool { rows.isEmpty }

  /// Time until the first host that only a breaker excludes admits a request again. `nil` means
  /// that there is no such host: a retry would fail, too.
  var untilBreakersAdmit: Duration? {
    let requirements = Requirements(constraints, view)
    return view.index.offers(of: model).lazy.map(\.row).filter { requirements.allow($0, view) }
      .compactMap(untilBreakerAdmits).min()
  }

  /// - Returns: `nil` if the row's breakers admit a request now.
  private func untilBreakerAdmits(_ row: Int) -> Duration? {
    let moment = view.moment
    let open: Instant?
    switch view.standings[row].breaker {
    case .closed: open = nil
    case .open(let until): open = until
    // A probe is in flight. If it fails, the breaker opens for at least this long.
    case .halfOpen: open = moment + CircuitBreaker.Policy().firstOpen
    }
    let closed = view.closed.end(for: constraints.client, at: view.table.hosts[row].id)
    return [open, closed].compactMap { $0 }.filter { moment < $0 }.max()
      .map { moment.duration(to: $0) }
  }

  /// Whether racing is free: the first host and a second one have no price. Also true if there is
  /// no second host.
  func isSecondFree(beside first: Candidate) -> Bool {
    guard first.host.pricePerMillion == 0 else { return false }
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
    // A row is only included if its host offers the model, or a chat model.
    Candidate(
      host: view.table.hosts[row], model: model ?? view.index.chatModel(row) ?? ModelID(""))
  }

  public var refusals: [Refusal] {
    let eligible = Set(rows)
    return view.table.hosts.enumerated().compactMap { row, host in
      eligible.contains(row) ? nil : Refusal(host: host.id, reason: refusal(of: host, row))
    }
  }

  /// A sentence that explains why no host can answer.
  public func explanation(model: ModelID?) -> String {
    let what = model.map { "model \($0)" } ?? "any chat model"
    let refusals = refusals
    guard !refusals.isEmpty else {
      return "no host can answer for \(what): no host is registered; add one with "
        + "`tutti hosts add URL`"
    }
    // Operators read some lines, not a thousand. Reasons that they can change come first.
    let near = refusals.filter { !Self.isOther($0.reason) }
    let shown = (near + refusals.filter { Self.isOther($0.reason) }).prefix(20).map {
      "\($0.host) \($0.reason)"
    }
    let more = refusals.count > 20 ? "; and \(refusals.count - 20) more" : ""
    return "no host can answer for \(what) now: \(shown.joined(separator: "; "))\(more)"
  }

  private static let offersOthers = "does not offer it"
  private static let offersNoChat = "offers no chat model"

  /// The host offers other models, so no change of its state makes it eligible.
  private static func isOther(_ reason: String) -> Bool {
    reason == offersOthers || reason == offersNoChat
  }

  private func refusal(of host: Host, _ row: Int) -> String {
    func because(_ text: String) -> String {
      host.reason.isEmpty ? text : "\(text) (\(host.reason))"
    }
    if let require = constraints.require, require != host.id { return "is not the required host" }
    if let model {
      guard host.models.isEmpty || host.offers(model) else { return Self.offersOthers }
    }
    switch host.state {
    case .ready: break
    case .unknown: return because("has not been probed yet")
    case .unreachable: return because("is unreachable")
    case .suspended: return because("is suspended")
    }
    if let model, !host.offers(model) { return Self.offersOthers }
    if model == nil, view.index.chatModel(row) == nil { return Self.offersNoChat }
    if let reason = view.index.rules.refusal(of: host) { return reason }
    guard host.trust >= constraints.dataPolicy else {
      return "may not see data of policy \"\(constraints.dataPolicy.rawValue)\""
    }
    let standing = view.standings[row]
    guard standing.breaker.admits(at: view.moment) else {
      return "failed several requests in a row and is skipped for a while"
    }
    guard view.isOpen(row, to: constraints.client) else {
      return "failed several requests of this client in a row and is skipped for a while"
    }
    if let heard = standing.heard, heard + view.score.knownStaleAfter < view.moment {
      return "has not answered for \(heard.duration(to: view.moment).wholeMilliseconds / 1_000) s"
    }
    return "does not answer now"
  }
}

/// Requirements of a request that no breaker changes: the host reported recently, is trusted with
/// the data, and is the required one.
private struct Requirements {
  /// Seconds on the process's clock.
  private let heardSince: Double
  private let policy: DataPolicy
  /// `nil` means any row.
  private let row: Int?

  init(_ constraints: InferenceConstraints, _ view: ClusterView) {
    heardSince = view.moment.sinceStart.inSeconds - view.score.knownStaleAfter.inSeconds
    policy = constraints.dataPolicy
    row = constraints.require.map { view.index.row(of: $0) ?? -1 }
  }

  func allow(_ row: Int, _ view: ClusterView) -> Bool {
    view.pulses[row].heard >= heardSince
      && (policy == .any || view.index.trust[row] >= policy)
      && (self.row == nil || self.row == row)
  }
}
