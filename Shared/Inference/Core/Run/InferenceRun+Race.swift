import ClusterModel
import Text

/// The phase up to the first valid token.
extension InferenceRun {
  func eligibility(
    _ view: ClusterView, breakers: Eligibility.Breakers = .admitting
  ) -> Eligibility {
    Eligibility(
      model: request.model, constraints: constraints, view: view,
      promptTokens: embeddedTokens ?? promptTokens, breakers: breakers)
  }

  /// Estimated tokens of the prompt, usually more than the real number for prose. Includes the part
  /// of the answer that a host resumes.
  var promptTokens: Int { shape.promptTokens + (answer.resumePoint?.spentTokens ?? 0) }

  /// Chooses the race mode. If neither the request nor the limits set a mode, the price decides:
  /// `dual` if a race of two hosts costs nothing, otherwise `hedged`.
  func makeRace(_ eligible: Eligibility, first: Candidate, _ view: ClusterView) -> Race {
    var mode =
      constraints.race ?? limits.race ?? (eligible.isSecondFree(beside: first) ? .dual : .hedged)
    // A single host is enough for an embedding and for a body. An embedding takes the same work on
    // each host, so a second computation gains nothing. A body shows only at its end which host is
    // first.
    if constraints.require != nil || forms.asksForBody
      || constraints.race == nil && request.endpoint == .embeddings
    {
      mode = .single
    }
    let usual = view.standing(of: first.host.id)?.firstTokenP95
    return Race(
      mode: mode, width: limits.raceWidth, hedgeAfter: usual ?? limits.hedgeUnmeasured)
  }

  /// Starts an attempt for each `ask` of the race. An `ask` is ignored if no host is found.
  mutating func ask(
    _ wanted: [Race.Directive], _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    var directives: [Directive] = []
    for case .ask(let speculative) in wanted {
      let view = cluster.view()
      guard
        let next = speculative ? speculativeHost(view, cluster) : replacement(view, cluster)
      else { continue }
      directives += start(next, speculative ? .speculative : .retry, view, now: now)
    }
    return directives
  }

  /// - Parameters:
  ///   - way: how the host is asked to resume the answer. `nil` means that it starts at the
  ///     beginning.
  ///   - resume: the point from which the host resumes. `nil` means that it starts at the
  ///     beginning.
  mutating func start(
    _ candidate: Candidate, _ role: AttemptRole, _ view: ClusterView, way: ResumeWay? = nil,
    at resume: ResumePoint? = nil, now: Instant
  ) -> [Directive] {
    let id = newAttemptID()
    var candidate = candidate
    candidate.form = form(for: candidate, view)
    var patience = HostPatience(
      for: view.standing(of: candidate.host.id) ?? HostStanding(), promptTokens: promptTokens,
      now: now)
    var left: Duration? = now.duration(to: begun.advanced(by: constraints.deadlines.total))
    if candidate.form.contains(.unstreamed) {
      patience.firstToken = max(patience.firstToken, forms.bodyPatience)
      left = nil
    }
    legs.append(
      RunningAttempt(
        id, candidate, role, patience: patience, deadlines: constraints.deadlines, left: left,
        isPanic: isShut(candidate.host.id, view), way: way, now: now))
    race.asked(id, now: now)
    return [
      .observe(candidate.host.id, .began(promptTokens: promptTokens), started: now),
      .start(id, candidate, resume),
    ]
  }

  // MARK: - Up to the first token

  mutating func receivedFirst(
    _ item: UpstreamItem, _ index: Int, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    switch item {
    case .broken(let failure): return lose(index, failure, cluster, now)
    case .done where isLastResort(index, cluster):
      let id = legs[index].id
      let directives = win(index, cluster, now)
      guard phase == .answering, legs.first?.id == id else { return directives }
      return directives + finish(cluster, now)
    case .done, .end:
      return lose(
        index, AttemptFailure(.cut, "its stream ended without a token"), cluster, now)
    case .body(let bytes, let facts): return win(index, body: bytes, facts, now)
    case .chunk(let chunk):
      legs[index].hold(chunk)
      guard chunk.facts.isValidToken else {
        legs[index].recordSign(now: now)
        // Chunks without a token are held in memory, so their number is limited.
        guard legs[index].held.count < limits.heldChunks else {
          let failure = AttemptFailure(
            .garbage, "it sent \(limits.heldChunks) chunks without a token")
          return lose(index, failure, cluster, now)
        }
        return []
      }
      return win(index, cluster, now)
    }
  }

  /// Whether an answer that ended without text is accepted. This is so if the host began a choice
  /// and no other host can be asked.
  private func isLastResort(_ index: Int, _ cluster: some ClusterAccess) -> Bool {
    guard phase == .racing, legs.count == 1 else { return false }
    return legs[index].held.contains { $0.facts.hasChoices } && !hasUntriedHost(cluster.view())
  }

  /// Handles the first valid token. The other legs lose, and the answer begins or resumes.
  mutating func win(
    _ index: Int, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    var winner = legs[index]
    let held = winner.win()
    var directives = cancelLosers(of: winner, now)
    legs = [winner]
    directives += answered(winner)
    answer.follow(
      winner, watchesRepetition: watchesRepetition(of: winner.candidate.host), now: now)
    let opening = opening(winner, now)
    if answer.firstToken == nil {
      answer.recordFirstToken(after: opening.firstToken)
      directives.append(.open(opening))
    } else {
      directives.append(.deliver(.resumed(opening)))
    }
    beginAnswering()
    for chunk in held {
      guard phase == .answering, legs.first?.id == winner.id else { break }
      directives += take(chunk, cluster, now)
    }
    return directives
  }

  /// Handles an answer that arrived in one piece.
  private mutating func win(
    _ index: Int, body: [UInt8], _ facts: ChunkFacts, _ now: Instant
  ) -> [Directive] {
    var winner = legs[index]
    var directives = cancelLosers(of: winner, now)
    let opening = opening(winner, now)
    end()
    directives += answered(winner)
    let textBytes = facts.deltaJSON?.count ?? facts.text.utf8.count
    var counted = facts.usage
    if !winner.trustsCount, let claimed = counted?.completionTokens {
      counted?.completionTokens = min(
        claimed, TokenTally.most(bytes: textBytes, chunks: 1, choices: shape.choices))
      counted?.limitPrompt(to: shape.mostPromptTokens)
    }
    winner.recordProduced(counted?.completionTokens)
    directives += record(winner, .answered, now) + contradictions()
    if let usage = facts.usage { directives += self.counted(usage, by: winner) }
    if answer.firstToken == nil { directives.append(.open(opening)) }
    let usage =
      counted
      ?? Usage(
        promptTokens: shape.promptTokens,
        completionTokens: TokenEstimate.tokens(bytes: textBytes), estimated: true)
    return directives + [
      .deliver(.body(body)),
      .deliver(
        .finished(
          summary(
            winner, firstToken: opening.firstToken, finishReason: facts.finishReason,
            usage: usage, now))), .release(winner.id), .complete,
    ]
  }

  private mutating func cancelLosers(of winner: RunningAttempt, _ now: Instant) -> [Directive] {
    var directives: [Directive] = []
    for case .cancel(let id) in race.spoke(winner.id) {
      guard let loser = legs.first(where: { $0.id == id }) else { continue }
      directives += [.cancel(id)] + record(loser, loser.defeat(by: winner.host, now: now), now)
    }
    return directives
  }

  /// Handles an attempt that failed before its first token.
  mutating func lose(
    _ index: Int, _ failure: AttemptFailure, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    if phase == .resuming, legs.count == 1 { return interrupt(failure, cluster, now) }
    let leg = legs.remove(at: index)
    if let again = reformed(leg, failure) {
      _ = race.failed(leg.id)
      return [.cancel(leg.id)] + record(leg, .failed(failure.ofForm), now)
        + start(again, .retry, cluster.view(), now: now)
    }
    let directives = [Directive.cancel(leg.id)] + record(leg, .failed(failure), now)
    let wanted = race.failed(leg.id)
    if phase == .resuming { return directives + askAnother(cluster, now) }
    guard failure.kind == .rejected else {
      return directives + ask(wanted, cluster, now) + askAnother(cluster, now)
        + failIfNoAttemptIsLeft()
    }
    // If another host still works on the request, it will show whether the rejection is right. If
    // none does, one other host is asked, without a race.
    guard legs.isEmpty else { return directives }
    race = Race(mode: .single)
    return directives + ask([.ask(speculative: false)], cluster, now) + failIfNoAttemptIsLeft()
  }

  /// Gives up all hosts that missed the client's deadline. In a race, one host replaces them all. A
  /// fallback host is preferred.
  mutating func giveUpLate(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    var directives: [Directive] = []
    for leg in legs {
      guard let late = leg.missedFirstToken(limits, now: now) else { continue }
      if phase == .resuming {
        guard let index = legs.firstIndex(where: { $0.id == leg.id }) else { continue }
        directives += lose(index, late, cluster, now)
        continue
      }
      legs.removeAll { $0.id == leg.id }
      _ = race.failed(leg.id)
      directives += [.cancel(leg.id)] + record(leg, .failed(late), now)
    }
    guard !directives.isEmpty, phase == .racing else { return directives }
    return directives + ask([.ask(speculative: false)], cluster, now) + failIfNoAttemptIsLeft()
  }

  /// Fails the run if no attempt is left.
  mutating func failIfNoAttemptIsLeft() -> [Directive] { legs.isEmpty ? fail(ledger.failure) : [] }
}
