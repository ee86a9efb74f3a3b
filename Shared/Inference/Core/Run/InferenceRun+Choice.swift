import ClusterModel
import HostModel
import Text

/// Choice of the next host.
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

  /// Chooses a host that is excluded only by its breaker.
  mutating func chooseShut(
    _ view: ClusterView, excluding: Set<HostID> = []
  ) -> Candidate? {
    choose(eligibility(view, breakers: .shut), excluding: excluding)
  }

  func isShut(_ host: HostID, _ view: ClusterView) -> Bool {
    guard let row = view.index.row(of: host) else { return false }
    return !view.standings[row].breaker.admits(at: view.moment)
      || !view.isOpen(row, to: constraints.client)
  }

  /// Why a dialect cannot express this request; `nil` means that it can. Cached per dialect,
  /// because the answer takes a translation of the request.
  private mutating func refusal(of dialect: HostDialect) -> String? {
    if let known = dialects[dialect] { return known }
    let refusal = UpstreamRequest.refusal(of: request, by: dialect)
    dialects.updateValue(refusal, forKey: dialect)
    return refusal
  }

  /// Why hosts that are otherwise eligible cannot be asked this request.
  var refusals: [String] {
    dialects.sorted { $0.key.rawValue < $1.key.rawValue }.compactMap { dialect, reason in
      reason.map { "a host of dialect \(dialect.rawValue) \($0)" }
    }
  }

  /// A host for a second leg. It has a free slot, so that no other request waits because of it.
  /// Fallback hosts are never chosen: they serve requests that no other host answers.
  mutating func spare(
    _ view: ClusterView, _ cluster: some ClusterAccess
  ) -> Candidate? {
    let asked = Set(attempts.map(\.host) + legs.map(\.host))
    // The client did not choose `dual`, so the second leg must be free of charge.
    let isUnpaid = constraints.race == nil && race.mode == .dual
    // A host that silently truncates a prompt must not win by it.
    guard
      let next = choose(
        eligibility(view), excluding: asked, needsFreeSlot: true, needsNoPrice: isUnpaid,
        needsRoom: true),
      next.host.tier == .community, cluster.mayRace(at: view)
    else { return nil }
    return next
  }

  /// The next host after a failure. Hosts that have not failed come first, then, once more, hosts
  /// whose failure may have been chance. `nil` means that no host is left, that enough attempts
  /// have failed, or that the retry budget is spent.
  mutating func replacement(
    _ view: ClusterView, _ cluster: some ClusterAccess
  ) -> Candidate? {
    let failures = attempts.filter { $0.failure != nil && $0.failure?.kind != .formRefused }
    // An unclear joint shows that the host works. Such attempts are counted separately.
    let doubts = failures.count { $0.failure?.isUnclear == true }
    guard max(doubts, failures.count - doubts) < limits.failures else { return nil }
    let eligible = eligibility(view)
    // If an answer has begun, the host rejects the way of resuming and not the request.
    let rejecting = answer == nil ? attempts.filter { $0.failure?.kind == .rejected } : []
    if let first = rejecting.first {
      // Two hosts that agree settle it: the request is at fault.
      guard rejecting.count < 2 else { return nil }
      if attempts.last?.failure?.kind == .rejected {
        return secondOpinion(first.host, eligible)
      }
    }
    let running = legs.map(\.host) + rejecting.map(\.host) + hostsNotLarger(eligible)
    // Fallback hosts exist for missed deadlines.
    let isPastDeadline = attempts.contains { $0.failure?.kind == .firstTokenDeadline }
    // A host that lost a race works: it is as good as an untried one.
    let failed = failures.map(\.host)
    let spent = Set(attempts.map(\.host)).filter { !mayTryAgain($0) }.union(running)
    var next: Candidate?
    // A host whose context seems too small comes after one that may have failed by chance.
    for needsRoom in [true, false] where next == nil {
      next =
        choose(
          eligible, excluding: Set(failed + running), needsRoom: needsRoom,
          isPastDeadline: isPastDeadline)
        ?? choose(eligible, excluding: spent, needsRoom: needsRoom)
    }
    // Only breakers exclude the remaining hosts: try those that have not failed, then those that
    // may be tried again.
    if next == nil {
      next =
        chooseShut(view, excluding: Set(failed + running)) ?? chooseShut(view, excluding: spent)
    }
    // An answer that has begun is resumed even if the retry budget is spent.
    guard next != nil, answer != nil || cluster.mayRetry(at: view) else { return nil }
    return next
  }

  /// The second host that decides whether a rejection is the request's fault. It runs different
  /// server software if possible, because the same software would reject the request too. It takes
  /// nothing from the retry budget: a rejection costs a host next to nothing, and a client that
  /// sends only bad requests must not use up the retries of other clients. `nil` means that the
  /// rejection stands.
  private mutating func secondOpinion(_ rejecting: HostID, _ eligible: Eligibility) -> Candidate? {
    let asked = Set(attempts.map(\.host) + legs.map(\.host))
    let all = eligible.candidates
    let software = all.first { $0.host.id == rejecting }?.host.softwareName
    let alike = all.filter { $0.host.softwareName == software }.map(\.host.id)
    let other = choose(eligible, excluding: asked.union(alike))
    // Fallback hosts do not replace community hosts for a second opinion.
    if let other, other.host.tier == .community { return other }
    return choose(eligible, excluding: asked) ?? other
  }

  /// Hosts whose context was too small, and hosts whose context is not larger.
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
    // The request itself may cause the server error. One repetition, at any host, is enough.
    if records.contains(where: { $0.failure?.isServerError == true }),
      attempts.count(where: { $0.failure?.isServerError == true }) > 1
    {
      return false
    }
    if records.count == 1, records[0].failure?.mayBeChance ?? true { return true }
    guard records.last?.failure?.kind == .badJoint else { return false }
    // The client has seen nothing, so the host may start over once.
    if mayBeginAnew, records.count(where: { $0.failure?.kind == .badJoint }) == 1 { return true }
    // The host works, but its text did not join. It was not asked by an instruction yet, or has not
    // repeated the text that decides.
    return isToBeAskedInWords(host) || isToRepeat(host)
  }

  /// Whether the host's text did not join and the host was not asked by an instruction yet.
  func isToBeAskedInWords(_ host: HostID) -> Bool {
    answer?.resume?.prefix.isEmpty == false && !askedInWords.contains(host)
      && attempts.contains { $0.host == host && $0.failure?.kind == .badJoint }
  }

  /// Whether it is unclear how the host's text joins the answer, and the host has not yet been
  /// asked in both ways to repeat some of the client's text.
  func isToRepeat(_ host: HostID) -> Bool {
    guard let prefix = answer?.resume?.prefix, !prefix.isEmpty,
      repetitions[host, default: 0] < 2,
      let failure = attempts.last(where: { $0.host == host })?.failure, failure.kind == .badJoint
    else { return false }
    return failure.isUnclear
      || prefix.count >= 2 * AnchoredText.leastBytes && askedInWords.contains(host)
  }
}
