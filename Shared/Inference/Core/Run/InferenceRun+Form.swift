import ClusterModel

/// The additions that a run may leave out, and those that hosts refused.
struct RequestForms: Sendable {
  /// Changes that undo an addition.
  let undoable: RequestForm
  /// The client wants one body, and no feature of the run needs a stream.
  var asksForBody = false
  /// Patience for a whole body. Half of the total time remains for another host.
  var bodyPatience: Duration
  /// Additions that each host refused in this run.
  private var refused: [HostID: RequestForm] = [:]
  /// Changes after a refusal that named no member. The next hosts get the client's own bytes at
  /// once.
  private var common: RequestForm = []
  /// Changes that only this prompt needs. They are not remembered for the host.
  private var unremembered: RequestForm = []
  private(set) var changes = 0

  init(undoable: RequestForm, total: Duration) {
    self.undoable = undoable
    bodyPatience = total / 2
  }

  mutating func refuse(_ change: FormRemedy.Change, by host: HostID) {
    changes += 1
    refused[host, default: []].formUnion(change.form)
    if change.isBlind { common.formUnion(change.form.intersection(.delivery)) }
    if change.isForPrompt { unremembered.formUnion(change.form) }
  }

  /// Changes for a host in this run, in addition to the remembered ones.
  func form(for host: HostID) -> RequestForm { common.union(refused[host] ?? []) }

  /// Changes to remember for a host that answers; empty if it refused nothing.
  func learned(of host: HostID) -> RequestForm {
    refused[host]?.subtracting(unremembered) ?? []
  }
}

extension InferenceRun {
  /// Decides whether a client that asked for no stream gets the host's own body. It does if only
  /// one host may answer: no race, deadline or failover then needs a stream. It also does if the
  /// client's own prefix is continued, because hosts return such a prefix differently in a stream.
  mutating func decideOnBody(_ eligible: Eligibility, _ first: Candidate) {
    let deadlines = constraints.deadlines
    guard !request.stream, request.endpoint != .embeddings, takesDelivery(first.host),
      deadlines.firstToken == nil, deadlines.interToken == nil, deadlines.minimumRate == nil
    else { return }
    let isAlone = eligible.rows.count <= 1
    forms.asksForBody = isAlone || shape.hasPrefill
    if isAlone { forms.bodyPatience = deadlines.total }
  }

  /// Whether the host takes the request in OpenAI's dialect, which lets Tutti choose stream or
  /// body.
  private func takesDelivery(_ host: Host) -> Bool {
    host.dialect == .openai || host.dialect == .ollama && request.endpoint == .completions
  }

  /// The form in which a host is asked.
  func form(for candidate: Candidate, _ view: ClusterView) -> RequestForm {
    let host = candidate.host
    var form = view.habits.form(of: host.id, candidate.model, at: view.moment)
    form.formUnion(forms.form(for: host.id))
    if forms.asksForBody, answer == nil { form.insert(.unstreamed) }
    form.formIntersection(forms.undoable)
    return takesDelivery(host) ? form : form.subtracting(.delivery)
  }

  /// The form as the trace reports it. `unstreamed` is left out if the client asked for no stream.
  func reported(_ form: RequestForm) -> RequestForm {
    forms.asksForBody ? form.subtracting(.unstreamed) : form
  }

  /// The same host, to be asked without the addition that it refused. `nil` means that the refusal
  /// does not concern an addition by Tutti.
  mutating func reformed(_ leg: Attempt, _ failure: AttemptFailure) -> Candidate? {
    guard leg.firstToken == nil, forms.changes < limits.formChanges else { return nil }
    var left = forms.undoable.subtracting(leg.candidate.form)
    if !takesDelivery(leg.candidate.host) { left.subtract(.delivery) }
    guard
      let change = FormRemedy.change(
        after: failure, left: left, isSure: leg.role == .resumption)
    else { return nil }
    forms.refuse(change, by: leg.host)
    return leg.candidate
  }

  /// Records that a host answered. A body has no first-token latency: all its tokens come at once.
  func answered(_ winner: Attempt) -> [Directive] {
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
  func counted(_ usage: Usage, by leg: Attempt) -> [Directive] {
    guard request.endpoint != .embeddings, !usage.estimated, request.prefix.isEmpty,
      leg.role != .resumption, !attempts.contains(where: { $0.role == .resumption })
    else { return [] }
    let habit = HostHabit.prompt(estimated: shape.promptTokens, counted: usage.promptTokens)
    guard HostHabits.isUseful(habit) else { return [] }
    return [
      .observe(leg.host, .learned(habit, leg.candidate.model), started: leg.started)
    ]
  }
}

extension AttemptFailure {
  /// This failure as a refusal of an addition.
  var ofForm: AttemptFailure {
    var failure = self
    failure.kind = .formRefused
    return failure
  }
}
