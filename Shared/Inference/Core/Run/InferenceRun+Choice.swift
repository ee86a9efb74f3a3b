import ClusterModel
import HostModel
import Text

/// Choice of the next host.
extension InferenceRun {
  mutating func choose(
    _ eligible: Eligibility, excluding: Set<HostID> = [], needsFreeSlot: Bool = false,
    needsNoPrice: Bool = false, needsRoom: Bool = false, isPastDeadline: Bool = false,
    rank: Int? = nil
  ) -> Candidate? {
    var excluding = excluding
    while true {
      var wish = HostChoice.Wish(
        avoid: constraints.avoid, prefer: constraints.prefer, excluding: Array(excluding),
        affinity: constraints.affinity, needsFreeSlot: needsFreeSlot, needsNoPrice: needsNoPrice,
        needsRoom: needsRoom, soonest: answer.hasBegun || constraints.prefer != nil,
        isPastDeadline: isPastDeadline)
      wish.rank = rank
      guard let next = HostChoice.choose(1, from: eligible, wish, using: &rng).first else {
        return nil
      }
      guard !dialects.admits(next.host.dialect, request) else { return next }
      excluding.insert(next.host.id)
    }
  }

  /// Chooses a host that only its breaker excludes.
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

  /// A host for a second leg.
  ///
  /// The host must have a free slot, so that no other request waits because of the second leg.
  /// Fallback hosts are never chosen, because they serve requests that no other host answers. For a
  /// ranked alias, only hosts of the first leg's rank are chosen.
  mutating func speculativeHost(
    _ view: ClusterView, _ cluster: some ClusterAccess
  ) -> Candidate? {
    let asked = ledger.hosts.union(legs.map(\.host))
    // If neither the request nor a setting chose `dual`, the second leg must be free of charge.
    let isUnpaid = constraints.race == nil && limits.race == nil && race.mode == .dual
    // A host whose context is too small may silently shorten the prompt and answer first. So the
    // context of the second host must fit the prompt.
    guard
      let next = choose(
        eligibility(view), excluding: asked, needsFreeSlot: true, needsNoPrice: isUnpaid,
        needsRoom: true, rank: legs.first?.candidate.rank),
      next.host.tier == .community, cluster.mayRace(at: view)
    else { return nil }
    return next
  }

  /// The next host after a failure.
  ///
  /// Hosts that have not failed come first. Hosts whose failure may have been chance come next,
  /// once more each. `nil` means that no host is left, that two hosts reject the request, that
  /// enough attempts have failed, or that the retry budget is spent.
  mutating func replacement(
    _ view: ClusterView, _ cluster: some ClusterAccess
  ) -> Candidate? {
    guard !ledger.isExhausted(limit: limits.failures) else { return nil }
    let eligible = eligibility(view)
    // After an answer has begun, a host rejects the way of resuming and not the request.
    let rejecting = answer.hasBegun ? [] : ledger.rejections
    if let first = rejecting.first {
      // If two hosts reject the request, the request is at fault.
      guard rejecting.count < 2 else { return nil }
      if ledger.endsWithRejection { return secondOpinion(first.host, eligible) }
    }
    let running =
      legs.map(\.host) + rejecting.map(\.host)
      + ledger.hostsNotLarger(among: eligible.candidates)
    // After a missed deadline, fallback hosts come first.
    let isPastDeadline = ledger.hasMissedFirstToken
    // A host that lost a race works, so it is as good as an untried host.
    let failed = ledger.failed.map(\.host)
    let spent = ledger.hosts.filter { !mayTryAgain($0) }.union(running)
    var next: Candidate?
    // A host that may have failed by chance comes before a host whose context seems too small.
    for needsRoom in [true, false] where next == nil {
      next =
        choose(
          eligible, excluding: Set(failed + running), needsRoom: needsRoom,
          isPastDeadline: isPastDeadline)
        ?? choose(eligible, excluding: spent, needsRoom: needsRoom)
    }
    // Only hosts that a breaker excludes can be left. Hosts that have not failed come first, then
    // hosts that may be tried again.
    if next == nil {
      next =
        chooseShut(view, excluding: Set(failed + running)) ?? chooseShut(view, excluding: spent)
    }
    // If an answer has begun, it is resumed even if the retry budget is spent.
    guard next != nil, answer.hasBegun || cluster.mayRetry(at: view) else { return nil }
    return next
  }

  /// The second host, which decides whether a rejection is the request's fault. `nil` means that
  /// the rejection stands.
  ///
  /// The second host runs different server software if possible, because the same software would
  /// also reject the request. The attempt takes nothing from the retry budget. A rejection costs a
  /// host very little, and a client that sends only bad requests must not use up the retries of
  /// other clients.
  private mutating func secondOpinion(_ rejecting: HostID, _ eligible: Eligibility) -> Candidate? {
    let asked = ledger.hosts.union(legs.map(\.host))
    let all = eligible.candidates
    let software = all.first { $0.host.id == rejecting }?.host.softwareName
    let alike = all.filter { $0.host.softwareName == software }.map(\.host.id)
    let other = choose(eligible, excluding: asked.union(alike))
    // If only a fallback host runs different software, a community host with the same software is
    // preferred.
    if let other, other.host.tier == .community { return other }
    return choose(eligible, excluding: asked) ?? other
  }

  private func mayTryAgain(_ host: HostID) -> Bool {
    switch ledger.repetition(of: host) {
    case .allowed: return true
    case .refused: return false
    case .afterBadJoint(let isFirst):
      // The client has seen no part of the answer, so the host may start over once.
      if isFirst, answer.mayStartOver { return true }
      // The host can still be asked by an instruction, or asked to repeat some of the client's
      // text.
      return shouldInstruct(host) || shouldRepeat(host)
    }
  }

  /// Whether the next request to the host shall ask by an instruction (`ResumeInstruction`). The
  /// condition is that a text of the host did not join the answer. Each host gets at most one such
  /// request.
  func shouldInstruct(_ host: HostID) -> Bool {
    answer.resumePoint?.prefix.isEmpty == false && !resumeHistory.isInstructed(host)
      && ledger.hasBadJoint(host)
  }

  /// Whether the host shall be asked to repeat some of the client's text. There are two ways to
  /// ask, and each is tried once.
  ///
  /// The condition is that the host's last text did not join the answer. Also, it must be unclear
  /// how the text joins, or the answer is long and the host was asked by an instruction.
  func shouldRepeat(_ host: HostID) -> Bool {
    guard let prefix = answer.resumePoint?.prefix, !prefix.isEmpty,
      resumeHistory.mayRepeat(host),
      let failure = ledger.lastFailure(of: host), failure.kind == .badJoint
    else { return false }
    return failure.isUnclear
      || prefix.count >= 2 * AnchoredText.leastBytes && resumeHistory.isInstructed(host)
  }
}
