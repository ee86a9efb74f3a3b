import ClusterModel

extension InferenceRun {
  /// Decides whether a client that asked for no stream gets the host's own body.
  ///
  /// A client that sets a deadline for tokens or a minimum rate does not get it. Other clients get
  /// it if only one host may answer, because then no race or failover needs a stream. Exception: a
  /// host that is watched for repetition is asked for a stream. Clients also get the host's body if
  /// the answer continues the client's own prefix, because in a stream hosts return such a prefix
  /// differently.
  mutating func decideOnBody(_ eligible: Eligibility, _ first: Candidate) {
    let deadlines = constraints.deadlines
    guard !request.stream, request.endpoint != .embeddings, takesDelivery(first.host),
      deadlines.firstToken == nil, deadlines.interToken == nil, deadlines.minimumRate == nil
    else { return }
    let isAlone = eligible.rows.count <= 1
    guard isAlone && !watchesRepetition(of: first.host) || shape.hasPrefill else { return }
    forms.askForBody(patience: isAlone ? deadlines.total : nil)
  }

  /// Whether the host takes the request in OpenAI's dialect. Only in this dialect can Tutti choose
  /// between stream and body.
  private func takesDelivery(_ host: Host) -> Bool {
    host.dialect.followsDelivery(at: request.endpoint)
  }

  /// The form in which a host is asked.
  func form(for candidate: Candidate, _ view: ClusterView) -> RequestForm {
    let host = candidate.host
    var form = view.habits.form(of: host.id, candidate.model, at: view.moment)
    form.formUnion(forms.form(for: host.id))
    if forms.asksForBody, !answer.hasBegun { form.insert(.unstreamed) }
    form.formIntersection(forms.undoable)
    return takesDelivery(host) ? form : form.subtracting(.delivery)
  }

  /// The form as the trace reports it. If the run asks hosts for a body from the start,
  /// `unstreamed` undoes no addition and is left out.
  func reported(_ form: RequestForm) -> RequestForm {
    forms.asksForBody ? form.subtracting(.unstreamed) : form
  }

  /// The same host, to be asked again without the addition that it refused. `nil` means that no
  /// addition by Tutti is at fault, or that `formChanges` is reached.
  mutating func reformed(_ leg: RunningAttempt, _ failure: AttemptFailure) -> Candidate? {
    guard !leg.hasToken, forms.changes < limits.formChanges else { return nil }
    var left = forms.undoable.subtracting(leg.candidate.form)
    if !takesDelivery(leg.candidate.host) { left.subtract(.delivery) }
    guard
      let change = FormRemedy.change(
        after: failure, left: left, isSure: leg.role == .resumption)
    else { return nil }
    forms.refuse(change, by: leg.host)
    return leg.candidate
  }

  /// Records that a host answered. A body of generated text has no first-token latency, because all
  /// its tokens arrive at once.
  func answered(_ winner: RunningAttempt) -> [Directive] {
    var directives: [Directive] = []
    let isBody =
      winner.candidate.form.contains(.unstreamed) && request.endpoint != .embeddings
    if !isBody {
      directives.append(.observe(winner.host, .firstToken, started: winner.started))
    }
    let form = forms.learned(of: winner.host)
    if !form.isEmpty {
      directives.append(
        .observe(
          winner.host, .learned(.form(form), winner.candidate.model), started: winner.started))
    }
    return directives
  }

  /// Records the host's own count of the client's prompt tokens.
  func counted(_ usage: Usage, by leg: RunningAttempt) -> [Directive] {
    guard request.endpoint != .embeddings, !usage.estimated, request.prefix.isEmpty,
      leg.role != .resumption, !ledger.hasResumption
    else { return [] }
    let habit = HostHabit.prompt(estimated: shape.promptTokens, counted: usage.promptTokens)
    guard HostHabits.isUseful(habit) else { return [] }
    return [
      .observe(leg.host, .learned(habit, leg.candidate.model), started: leg.started)
    ]
  }
}
