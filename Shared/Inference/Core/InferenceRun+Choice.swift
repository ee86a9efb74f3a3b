import ClusterModel
import Text

/// Who is asked next.
extension InferenceRun {
  mutating func choose(
    _ eligible: Eligibility, excluding: Set<HostID> = [], needsFreeSlot: Bool = false,
    needsNoPrice: Bool = false, needsRoom: Bool = false, isPastDeadline: Bool = false
  ) -> Candidate? {
    var excluding = excluding
    while true {
      let wish = HostChoice.Wish(
        avoid: constraints.avoid, prefer: constraints.prefer, excluding: Array(excluding),
        affinity: constraints.affinity, needsFreeSlot: needsFreeSlot, needsNoPrice: needsNoPrice,
        needsRoom: needsRoom, soonest: answer != nil || constraints.prefer != nil,
        isPastDeadline: isPastDeadline)
      guard let next = HostChoice.choose(1, from: eligible, wish, using: &rng).first else {
        return nil
      }
      guard refusal(of: next.host.dialect) != nil else { return next }
      excluding.insert(next.host.id)
    }
  }

  /// A host that only a breaker keeps from answering.
  mutating func chooseShut(
    _ view: ClusterView, excluding: Set<HostID> = []
  ) -> Candidate? {
    choose(eligibility(view, breakers: .shut), excluding: excluding)
  }

  /// Whether a breaker is open for a host.
  func isShut(_ host: HostID, _ view: ClusterView) -> Bool {
    guard let row = view.index.row(of: host) else { return false }
    return !view.standings[row].breaker.admits(at: view.moment)
      || !view.isOpen(row, to: constraints.client)
  }

  /// Looked up once a dialect: it means to translate the request.
  private mutating func refusal(of dialect: HostDialect) -> String? {
    if let known = dialects[dialect] { return known }
    let refusal = UpstreamRequest.refusal(of: request, by: dialect)
    dialects.updateValue(refusal, forKey: dialect)
    return refusal
  }

  /// Why hosts that are eligible else cannot be asked this.
  var refusals: [String] {
    dialects.sorted { $0.key.rawValue < $1.key.rawValue }.compactMap { dialect, reason in
      reason.map { "a host of dialect \(dialect.rawValue) \($0)" }
    }
  }

  /// A host for a second leg: one that nobody has to wait for because of it, and never one of the
  /// operator's own, which are for those whom nobody else answers.
  mutating func spare(
    _ view: ClusterView, _ cluster: some ClusterAccess
  ) -> Candidate? {
    let asked = Set(attempts.map(\.host) + legs.map(\.host))
    // Two at once is what costs nothing; nobody chose to pay for both.
    let isUnpaid = constraints.race == nil && race.mode == .dual
    // A host that shortens a prompt without a word must not win by it.
    guard
      let next = choose(
        eligibility(view), excluding: asked, needsFreeSlot: true, needsNoPrice: isUnpaid,
        needsRoom: true),
      next.host.tier == .community, cluster.mayRace(at: view)
    else { return nil }
    return next
  }

  /// The next host after a failure: those that have not failed, and then, once more, those whose
  /// failure may have been chance. nil: nobody is left, or enough have failed.
  mutating func replacement(
    _ view: ClusterView, _ cluster: some ClusterAccess
  ) -> Candidate? {
    let failures = attempts.filter { $0.failure != nil && $0.failure?.kind != .formRefused }
    // A host whose words leave a doubt works: those attempts have a limit of their own.
    let doubts = failures.count { $0.failure?.isUnclear == true }
    guard max(doubts, failures.count - doubts) < limits.failures else { return nil }
    let eligible = eligibility(view)
    // Of an answer that was begun, it is the way to go on that is rejected.
    let rejecting = answer == nil ? attempts.filter { $0.failure?.kind == .rejected } : []
    if let first = rejecting.first {
      // Two hosts that agree are believed.
      guard rejecting.count < 2 else { return nil }
      if attempts.last?.failure?.kind == .rejected {
        return secondOpinion(first.host, eligible)
      }
    }
    let running = legs.map(\.host) + rejecting.map(\.host) + hostsNotLarger(eligible)
    // A missed deadline is what the operator's own hosts are for.
    let isPastDeadline = attempts.contains { $0.failure?.kind == .firstTokenDeadline }
    // One that was beaten works: it is as good as one that nobody has asked.
    let failed = failures.map(\.host)
    let spent = Set(attempts.map(\.host)).filter { !mayTryAgain($0) }.union(running)
    var next: Candidate?
    // A host that seems too small comes after one that may have failed by chance.
    for needsRoom in [true, false] where next == nil {
      next =
        choose(
          eligible, excluding: Set(failed + running), needsRoom: needsRoom,
          isPastDeadline: isPastDeadline)
        ?? choose(eligible, excluding: spent, needsRoom: needsRoom)
    }
    // Only breakers stand in the way: those of hosts that were not asked yet, and then of all.
    if next == nil {
      next =
        chooseShut(view, excluding: Set(failed + running)) ?? chooseShut(view, excluding: spent)
    }
    // What is over half done is not given up for the sake of a budget.
    guard next != nil, answer != nil || cluster.mayRetry(at: view) else { return nil }
    return next
  }

  /// The one second host that is asked whether a rejection is the request's fault: of another
  /// software if there is one, because the same software finds the same fault. It is taken from no
  /// budget: a rejection costs a host next to nothing, and a client that sends only bad requests must
  /// not use up the retries of the others. `nil` means that the rejection is believed.
  private mutating func secondOpinion(_ rejecting: HostID, _ eligible: Eligibility) -> Candidate? {
    let asked = Set(attempts.map(\.host) + legs.map(\.host))
    let all = eligible.candidates
    let software = all.first { $0.host.id == rejecting }?.host.softwareName
    let alike = all.filter { $0.host.softwareName == software }.map(\.host.id)
    let other = choose(eligible, excluding: asked.union(alike))
    // The operator's own hosts are not asked in place of the community's.
    if let other, other.host.tier == .community { return other }
    return choose(eligible, excluding: asked) ?? other
  }

  /// Hosts that have no larger context than one that was too small.
  private func hostsNotLarger(_ eligible: Eligibility) -> [HostID] {
    let refusing = attempts.filter { $0.failure?.kind == .contextTooSmall }
    guard !refusing.isEmpty else { return [] }
    func context(_ host: Host, _ model: ModelID) -> Int? {
      host.models.first { $0.id == model }?.contextTokens
    }
    let candidates = eligible.candidates
    let largest = refusing.compactMap { record in
      candidates.first { $0.host.id == record.host }.flatMap { context($0.host, record.model) }
    }.max()
    let smaller = candidates.filter { candidate in
      guard let largest, let own = context(candidate.host, candidate.model) else { return false }
      return own <= largest
    }
    return refusing.map(\.host) + smaller.map(\.host.id)
  }

  private func mayTryAgain(_ host: HostID) -> Bool {
    let records = attempts.filter {
      $0.host == host && $0.failure?.kind != .formRefused
    }
    // The request may cause a server error: one more host, or the same once more, is enough.
    if records.contains(where: { $0.failure?.isServerError == true }),
      attempts.count(where: { $0.failure?.isServerError == true }) > 1
    {
      return false
    }
    if records.count == 1, records[0].failure?.mayBeChance ?? true { return true }
    guard records.last?.failure?.kind == .badJoint else { return false }
    // Nothing is out: it is asked from the start.
    if mayBeginAnew, records.count(where: { $0.failure?.kind == .badJoint }) == 1 { return true }
    // The host works, but its words did not join. It was not asked by an instruction yet, or did not
    // repeat the words that decide yet.
    return isToBeAskedInWords(host) || isToRepeat(host)
  }

  /// Whether the host began something of its own although it was given the answer to go on with, and
  /// was not asked in words yet.
  func isToBeAskedInWords(_ host: HostID) -> Bool {
    answer?.resume?.prefix.isEmpty == false && !askedInWords.contains(host)
      && attempts.contains { $0.host == host && $0.failure?.kind == .badJoint }
  }

  /// Whether it is unclear how the host's words join the answer, and it was not asked in both ways yet to
  /// say again some of what the client has.
  func isToRepeat(_ host: HostID) -> Bool {
    guard let prefix = answer?.resume?.prefix, !prefix.isEmpty,
      repetitions[host, default: 0] < 2,
      let failure = attempts.last(where: { $0.host == host })?.failure, failure.kind == .badJoint
    else { return false }
    return failure.isUnclear
      || prefix.count >= 2 * AnchoredText.leastBytes && askedInWords.contains(host)
  }
}

extension AttemptFailure {
  /// Whether the same host may do better if asked again: it was reached and did not say that it has
  /// too much to do, or that the request is wrong.
  var mayBeChance: Bool {
    switch kind {
    case .lostBeforeHead, .lost, .cut, .garbage, .errorEvent, .stall, .crawl: true
    // A model that is sampled says something else the next time.
    case .badJoint: true
    case .status: (status ?? 0) >= 500
    case .connect, .busy, .rejected, .formRefused, .contextTooSmall, .firstTokenDeadline,
      .totalDeadline,
      .tooLarge, .unsuited,
      .noSecret, .consumerLeft:
      false
    }
  }
}

extension AttemptFailure {
  /// An internal error, or a request that the host does not implement. The request may be the reason.
  /// The same holds if the host is asked again without an addition.
  var isServerError: Bool {
    (kind == .status || kind == .formRefused) && (status == 500 || status == 501)
  }

  /// The host found fault with the request, or with having been asked.
  var isRefusal: Bool {
    // A rejection without a status is Tutti's own: the host was not asked.
    (kind == .rejected || kind == .status) && (400..<500).contains(status ?? 0)
  }
}

extension AttemptFailure.Kind {
  /// Whether more patience might have seen an answer.
  var isLateness: Bool { self == .firstTokenDeadline || self == .stall || self == .crawl }
}
