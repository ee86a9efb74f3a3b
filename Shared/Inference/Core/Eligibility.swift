import Limits
public import ClusterModel

/// Which hosts may answer a request, and why each of the others may not.
///
/// A decision among a thousand hosts has no time to make sentences or copies of hosts: here are
/// rows of the view's table, and the rest is computed for whoever asks.
public struct Eligibility: Sendable {
  public struct Refusal: Hashable, Sendable {
    public var host: HostID
    /// Follows the host's name in a sentence: "is suspended".
    public var reason: String
  }

  private let model: ModelID?
  private let constraints: InferenceConstraints
  let view: ClusterView
  /// In the table's order.
  let rows: [Int]
  /// Contexts of those of them that are too small by the estimate. The host decides, so it is asked
  /// after the others.
  let small: [Int: Int]

  /// Which hosts a breaker lets through.
  public enum Breakers: Hashable, Sendable {
    /// Hosts whose breakers are closed, or admit one request now.
    case admitting
    /// Hosts that nothing but a breaker keeps from answering. They are asked if no other host is left:
    /// to refuse what could be tried is an outage of the cluster's own making. Each has a budget: as
    /// many requests at once as `panicRequests` says.
    case shut
  }

  /// Requests that a host is sent at once while a breaker is open for it. A host that fails all of them
  /// is tried as often as clients ask; one that hangs keeps no more than so many connections.
  static func panicRequests(slots: Int?) -> Int {
    max(leastPanicRequests, (slots ?? HostSharing.assumedSlots).multipliedCapped(by: 2))
  }

  private static let leastPanicRequests = 16

  /// - Parameters:
  ///   - promptTokens: estimated; hosts whose context is smaller are asked last.
  ///   - breakers: which hosts are wanted.
  public init(
    model: ModelID?, constraints: InferenceConstraints, view: ClusterView, promptTokens: Int = 0,
    breakers: Breakers = .admitting
  ) {
    self.model = model
    self.constraints = constraints
    self.view = view
    let index = view.index
    let now = view.moment.sinceStart.inSeconds
    let required = constraints.require.map { index.row(of: $0) ?? -1 }
    var rows: [Int] = []
    let offers = index.offers(of: model)
    rows.reserveCapacity(offers.count)
    let staleBefore = now - view.score.knownStaleAfter.inSeconds
    let policy = constraints.dataPolicy
    var small: [Int: Int] = [:]
    for offer in offers {
      let pulse = view.pulses[offer.row]
      let isAdmitted =
        pulse.blockedUntil <= now
        && (view.closed.isEmpty || view.isOpen(offer.row, to: constraints.client))
      guard isAdmitted == (breakers == .admitting), pulse.heard >= staleBefore,
        policy == .any || index.trust[offer.row] >= policy,
        required == nil || required == offer.row
      else { continue }
      if breakers == .shut {
        let standing = view.standings[offer.row]
        guard standing.inFlight < Self.panicRequests(slots: standing.slots) else { continue }
      }
      rows.append(offer.row)
      // No text has more tokens than four times the estimate, which is a token for each byte.
      guard offer.contextTokens / TokenTally.bytesPerToken < promptTokens,
        let model = model ?? index.chatModel(offer.row),
        offer.contextTokens
          < view.habits.tokens(estimated: promptTokens, at: view.table.hosts[offer.row].id, model)
      else { continue }
      small[offer.row] = offer.contextTokens
    }
    self.rows = rows
    self.small = small
  }

  /// By what the table alone says, for whoever explains it and asks nobody.
  public init(model: ModelID?, constraints: InferenceConstraints, table: HostTable) {
    self.init(model: model, constraints: constraints, view: ClusterView(table: table))
  }

  public var isEmpty: Bool { rows.isEmpty }

  /// Time until the first breaker admits a request again; `nil` means that none is open.
  var untilBreakersAdmit: Duration? {
    let now = view.moment.sinceStart.inSeconds
    let first = view.index.offers(of: model).map { view.pulses[$0.row].blockedUntil }
      .filter { $0 > now && $0.isFinite }.min()
    return first.map { .seconds($0 - now) }
  }

  /// Whether a second host asked at once would cost nothing, nor does the first. Where there is no
  /// second, that costs nothing either.
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

  /// Those of some rows that have room for the prompt; if none has, the ones with the largest context.
  func roomiest(of rows: [Int]) -> [Int] {
    guard !small.isEmpty else { return rows }
    let fitting = rows.filter { small[$0] == nil }
    guard fitting.isEmpty else { return fitting }
    let largest = rows.compactMap { small[$0] }.max()
    return rows.filter { small[$0] == largest }
  }

  func candidate(_ row: Int) -> Candidate {
    // A row is only here because its host offers the model, or a chat model.
    Candidate(
      host: view.table.hosts[row], model: model ?? view.index.chatModel(row) ?? ModelID(""))
  }

  public var refusals: [Refusal] {
    let eligible = Set(rows)
    return view.table.hosts.enumerated().compactMap { row, host in
      eligible.contains(row) ? nil : Refusal(host: host.id, reason: refusal(of: host, row))
    }
  }

  /// A sentence that says why nobody is left.
  public func explanation(model: ModelID?) -> String {
    let what = model.map { "model \($0)" } ?? "any chat model"
    let refusals = refusals
    guard !refusals.isEmpty else {
      return "no host can answer for \(what): no host is registered; add one with "
        + "`tutti hosts add URL`"
    }
    // An operator reads some lines, not a thousand, and first those that could be otherwise.
    let near = refusals.filter { !Self.isOther($0.reason) }
    let shown = (near + refusals.filter { Self.isOther($0.reason) }).prefix(20).map {
      "\($0.host) \($0.reason)"
    }
    let more = refusals.count > 20 ? "; and \(refusals.count - 20) more" : ""
    return "no host can answer for \(what) now: \(shown.joined(separator: "; "))\(more)"
  }

  private static let offersOthers = "does not offer it"
  private static let offersNoChat = "offers no chat model"

  /// The host is for other models: no change of its state would have it answer.
  private static func isOther(_ reason: String) -> Bool {
    reason == offersOthers || reason == offersNoChat
  }

  private func refusal(of host: Host, _ row: Int) -> String {
    func because(_ text: String) -> String {
      host.reason.isEmpty ? text : "\(text) (\(host.reason))"
    }
    if let require = constraints.require, require != host.id { return "was not asked for" }
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
      return "failed several requests in a row and is left alone for a while"
    }
    guard view.isOpen(row, to: constraints.client) else {
      return "failed several requests of this client in a row and is left alone for a while"
    }
    if let heard = standing.heard, heard + view.score.knownStaleAfter < view.moment {
      return "was not heard for \(heard.duration(to: view.moment).wholeMilliseconds / 1_000) s"
    }
    return "does not answer now"
  }
}
