import ClusterModel

/// Handles hosts that are slower than their learned patience.
///
/// A learned patience decides when another host is asked. It does not end the attempt. A late host
/// continues until another host has taken over, until it counts as dead, or until a deadline of the
/// request ends the attempt.
extension InferenceRun {
  // MARK: - Up to the first token

  /// Checks the running hosts before their first tokens, and asks another host if they are late.
  mutating func checkLateAttempts(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    guard constraints.deadlines.firstToken == nil else { return giveUpLate(cluster, now) }
    var isNew = false
    for index in legs.indices where legs[index].nextCheck(limits) <= now {
      isNew = isNew || !legs[index].isLate
      legs[index].markLate(checkAgain: now.advanced(by: limits.lookAgain))
    }
    let directives = giveUpDead(cluster, now)
    if phase == .over { return directives }
    return directives + askAnother(cluster, now, isNew: isNew)
  }

  /// Asks one more host if all running hosts are late, or if a running host has just become late.
  /// - Parameter isNew: whether a running host has just become late.
  mutating func askAnother(
    _ cluster: some ClusterAccess, _ now: Instant, isNew: Bool = false
  ) -> [Directive] {
    guard !legs.isEmpty, isNew || legs.allSatisfy(\.isLate) else { return [] }
    let view = cluster.view()
    guard let next = anotherHost(view, cluster, now) else { return [] }
    switch phase {
    case .new, .over: return []
    case .racing: return start(next, .speculative, view, now: now)
    case .resuming: return startResuming(at: next, answer.resumePoint, view, now)
    case .answering: return startResuming(at: next, answer.reliefPoint, view, now)
    }
  }

  /// The next host to ask while a host is late.
  ///
  /// A host that is not running and has not failed comes first, then a host that may have recovered
  /// from its failure. `nil` means that no host is left, that a limit is reached, or that the retry
  /// budget is spent.
  private mutating func anotherHost(
    _ view: ClusterView, _ cluster: some ClusterAccess, _ now: Instant
  ) -> Candidate? {
    guard legs.count < limits.hostsAtOnce, ledger.failed.count < limits.failures else {
      return nil
    }
    let eligible = eligibility(view)
    let notRecovered = ledger.hostsNotRecovered(
      at: begun.duration(to: now), recovery: limits.lookAgain)
    // A running host is late. So the request counts as past its deadline, and fallback hosts come
    // first.
    let next =
      choose(
        eligible, excluding: ledger.hostsWithFailure.union(legs.map(\.host)), isPastDeadline: true)
      ?? choose(
        eligible, excluding: notRecovered.union(legs.map(\.host)), isPastDeadline: true)
    guard next != nil, answer.hasBegun || cluster.mayRetry(at: view) else { return nil }
    return next
  }

  /// Gives up late hosts that were silent for `deadSilence` and do not answer probes.
  private mutating func giveUpDead(
    _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    var directives: [Directive] = []
    for leg in legs where leg.isLate {
      guard let failure = death(of: leg, cluster, now),
        let index = legs.firstIndex(where: { $0.id == leg.id })
      else { continue }
      switch phase {
      case .new, .over: return directives
      case .racing, .resuming: directives += lose(index, failure, cluster, now)
      case .answering where index == 0: directives += interrupt(failure, cluster, now)
      case .answering: directives += loseRelief(index, failure, cluster, now)
      }
    }
    return directives
  }

  /// The failure of a host that counts as dead. `nil` means that it does not count as dead.
  ///
  /// The silence must be long, because a host that reads a long prompt may miss its probes.
  private func death(
    of leg: RunningAttempt, _ cluster: some ClusterAccess, _ now: Instant
  ) -> AttemptFailure? {
    var since = leg.started
    if phase == .answering, leg.id == legs.first?.id { since = answer.lastChunk }
    let silence = since.duration(to: now)
    guard silence >= limits.deadSilence else { return nil }
    let table = cluster.view().table
    guard let host = table.host(leg.host), host.state == .unreachable else { return nil }
    let reason = host.reason.isEmpty ? "" : " (\(host.reason))"
    return AttemptFailure(
      .lost,
      "it sent nothing for \(silence.wholeMilliseconds) ms and does not answer probes\(reason)")
  }

  // MARK: - During the answer

  /// Asks another host to resume the answer, because the answering host is late. The late host
  /// continues until the other host has taken over.
  mutating func relieve(
    _ cause: AttemptFailure.Kind, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    if cause == .stall {
      legs[0].markLate(checkAgain: now.advanced(by: limits.lookAgain))
      let directives = giveUpDead(cluster, now)
      guard directives.isEmpty else { return directives }
    }
    // If a relief host is running and not late, no other host is asked yet.
    guard legs.dropFirst().allSatisfy(\.isLate) else { return [] }
    let view = cluster.view()
    guard let next = anotherHost(view, cluster, now), answer.prepareRelief(cause) else { return [] }
    return startResuming(at: next, answer.reliefPoint, view, now)
  }

  /// Checks whether the relief hosts are late too.
  mutating func checkRelief(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    var directives: [Directive] = []
    for leg in legs.dropFirst() where leg.nextCheck(limits) <= now {
      guard let index = legs.firstIndex(where: { $0.id == leg.id }) else { continue }
      if constraints.deadlines.firstToken != nil, let late = leg.missedFirstToken(limits, now: now)
      {
        directives += loseRelief(index, late, cluster, now)
        continue
      }
      legs[index].markLate(checkAgain: now.advanced(by: limits.lookAgain))
      directives += askAnother(cluster, now, isNew: !leg.isLate)
    }
    return directives
  }

  /// Handles a chunk from a late host.
  /// - Returns: directives that end the relief attempts, because the late host had only paused.
  mutating func endLateness(_ now: Instant) -> [Directive] {
    legs[0].endLateness()
    return dismissRelief(by: legs[0], now)
  }

  /// Ends the relief attempts. The client gets the output that was withheld meanwhile.
  mutating func dismissRelief(by winner: RunningAttempt, _ now: Instant) -> [Directive] {
    let withheld = answer.endRelief()
    var directives: [Directive] = []
    for leg in legs.dropFirst() {
      directives += [.cancel(leg.id)] + record(leg, leg.defeat(by: winner.host, now: now), now)
    }
    legs = Array(legs.prefix(1))
    return withheld + directives
  }

  /// Handles output of a relief host. The relief host takes over when the client would get text or
  /// the end of the answer from it.
  mutating func receivedFromRelief(
    _ item: UpstreamItem, _ index: Int, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    switch item {
    case .broken(let failure): return loseRelief(index, failure, cluster, now)
    case .done, .end:
      return loseRelief(
        index, AttemptFailure(.cut, "its stream ended without a token"), cluster, now)
    case .body:
      return loseRelief(
        index, AttemptFailure(.garbage, "it sent a body in place of a stream"), cluster, now)
    case .chunk(let chunk):
      legs[index].hold(chunk)
      guard legs[index].held.count < limits.heldChunks else {
        let failure = AttemptFailure(
          .garbage, "it sent \(limits.heldChunks) chunks that do not resume the answer")
        return loseRelief(index, failure, cluster, now)
      }
      guard legs[index].isOnTrial || chunk.facts.isValidToken else { return [] }
      do throws(AttemptFailure) {
        guard let stream = answer.reliefStream, try legs[index].resumes(stream) else {
          return []
        }
        return takeOver(index, cluster, now)
      } catch {
        return loseRelief(index, error, cluster, now)
      }
    }
  }

  private mutating func takeOver(
    _ index: Int, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    guard let cause = answer.reliefCause else { return [] }
    let (late, winner) = (legs[0], legs[index])
    let failure = AttemptFailure(
      cause,
      "\(slowness(of: late, cause, now)), and host \(winner.host) resumed the answer")
    var directives = [Directive.cancel(late.id)] + record(late, .failed(failure), now)
    for leg in legs[1...] where leg.id != winner.id {
      directives += [.cancel(leg.id)] + record(leg, leg.defeat(by: winner.host, now: now), now)
    }
    legs = [winner]
    return directives + adoptRelief(now) + win(0, cluster, now)
  }

  /// Continues with the relief hosts after the late host was given up.
  mutating func promoteRelief(
    _ failure: AttemptFailure, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    guard answer.hasRelief else { return [] }
    let late = legs.remove(at: 0)
    var directives = [Directive.cancel(late.id)] + record(late, .failed(failure), now)
    let onTrial = legs.firstIndex { $0.isOnTrial }
    directives += adoptRelief(now)
    return directives + (onTrial.map { win($0, cluster, now) } ?? [])
  }

  /// Replaces the answer by the state from which the relief hosts resume.
  private mutating func adoptRelief(_ now: Instant) -> [Directive] {
    beginResuming()
    race = Race(mode: .single)
    for index in legs.indices {
      legs[index].endTrial()
      race.asked(legs[index].id, now: now)
    }
    return answer.adoptRelief()
  }

  private func slowness(
    of leg: RunningAttempt, _ cause: AttemptFailure.Kind, _ now: Instant
  ) -> String {
    guard cause == .stall else {
      return "it made fewer tokens a second than "
        + Self.oneDecimal(leg.patience.tokensPerSecondFloor)
    }
    return "it sent nothing for \(answer.lastChunk.duration(to: now).wholeMilliseconds) ms"
  }

  /// Handles a relief host that fails.
  mutating func loseRelief(
    _ index: Int, _ failure: AttemptFailure, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    let leg = legs.remove(at: index)
    let reformed = reformed(leg, failure)
    let recorded = reformed == nil ? failure : failure.ofForm
    var directives = [Directive.cancel(leg.id)] + record(leg, .failed(recorded), now)
    let view = cluster.view()
    let resume = answer.reliefPoint
    if let again = reformed ?? instructed(leg, failure, at: resume) {
      return directives + startResuming(at: again, resume, view, now)
    }
    directives += askAnother(cluster, now, isNew: legs.count == 1)
    guard legs.count == 1 else { return directives }
    // No relief host is left, so wait for the late host.
    return directives + dismissRelief(by: legs[0], now)
  }
}
