import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Limits
import Metrics
import NIOCore
import Overload
import Synchronization

/// Passes events to the run, and performs the directives that the run returns.
extension InferenceSession {
  /// Effects to perform outside the lock.
  struct Effects {
    var cancels: [HTTPClient.Task<Void>] = []
    var releases: [HTTPClient.Task<Void>] = []
    var starts: [(AttemptID, Candidate, ResumePoint?)] = []
    var opened: CheckedContinuation<Result<InferenceOpening?, Failure>, Never>?
    var opening: Result<InferenceOpening, Failure>?
    var reader: CheckedContinuation<Result<[InferenceEvent], Failure>, Never>?
    var read: Result<[InferenceEvent], Failure> = .success([])
    var resumed: [EventLoopPromise<Void>] = []
    var wakeAt: Instant?
    /// All attempts of the run. `nil` means that the run is not over.
    var attempts: [AttemptRecord]?
    var account: MemoryAccount?
    var charge = 0
    var pause: EventLoopFuture<Void>?
  }

  /// Time for which a response may continue after its last token. After this time its connection is
  /// closed.
  private static let releaseGrace = TimeAmount.seconds(1)
  private static let readerStall = Duration.milliseconds(Limits.readerStall.value)

  /// Handles an event, on the caller's thread unless it takes long.
  /// - Returns: a future to wait for before more of the host's stream is read. `nil` means that no
  ///   wait is needed.
  @discardableResult
  func step(_ event: Event) -> EventLoopFuture<Void>? {
    let now = client.now
    if isLong(event, now: now) { return stepAside(event) }
    let effects = state.withLock { state -> Effects in
      var effects = Effects()
      if state.run == nil {
        wait(event, &state, &effects, now: now)
      } else {
        let directives = handle(event, &state.run, pausedSince: state.pausedSince, now: now)
        apply(directives, &state, &effects)
        if effects.attempts != nil { effects.attempts = state.run?.attempts }
      }
      if case .abandon = event {
        state.unread = []
        state.unreadBytes = 0
      }
      settle(&state, &effects, now: now)
      if case .items = event { pause(&state, &effects, now: now) }
      rearm(&state, &effects)
      return effects
    }
    perform(effects, now: now)
    return effects.pause
  }

  /// Whether an event may take long to handle: the request or the answer is large, and the event
  /// may lead to a search for another host, a translation or an assembly.
  private func isLong(_ event: Event, now: Instant) -> Bool {
    guard isLarge || answerIsLong.load(ordering: .relaxed), pool.eventLoop.inEventLoop else {
      return false
    }
    switch event {
    case .begin, .failed: return true
    // At the deadline of the whole answer, no other host is searched for. The deadline must not
    // wait for other work.
    case .timePassed: return now < deadline
    case .items(let items, _):
      return !items.allSatisfy { if case .chunk = $0 { true } else { false } }
    case .head, .sign, .abandon: return false
    }
  }

  /// Handles an event on the thread for heavy work.
  private func stepAside(_ event: Event) -> EventLoopFuture<Void>? {
    guard case .items = event else {
      aside { self.stepOutside(event) }
      return nil
    }
    let done = pool.eventLoop.makePromise(of: Void.self)
    let isTaken = aside {
      if let later = self.stepOutside(event) {
        later.cascade(to: done)
      } else {
        done.succeed()
      }
    }
    if !isTaken { done.succeed() }
    return done.futureResult
  }

  /// Runs a job on the thread for heavy work. If too many jobs are waiting, the request fails.
  ///
  /// - Returns: whether the job was accepted.
  @discardableResult
  func aside(_ job: @escaping @Sendable () -> Void) -> Bool {
    let isTaken = client.heavyWork.submit(for: asker?.value ?? 0, job)
    if !isTaken {
      step(
        .abandon(
          Failure(
            .overloaded, "too many large bodies wait to be read; try again in a moment",
            retryAfter: .seconds(1))))
    }
    return isTaken
  }

  /// Takes the run out of the lock, and handles an event. Then handles the events that arrived
  /// meanwhile.
  /// - Returns: a future to wait for before more of the host's stream is read. `nil` means that no
  ///   wait is needed.
  @discardableResult
  func stepOutside(_ first: Event) -> EventLoopFuture<Void>? {
    handleOutside(first)
    guard case .items = first else { return nil }
    let now = client.now
    let effects = state.withLock { state -> Effects in
      var effects = Effects()
      pause(&state, &effects, now: now)
      rearm(&state, &effects)
      return effects
    }
    perform(effects, now: now)
    return effects.pause
  }

  private func handleOutside(_ event: Event) {
    var (run, pausedSince) = state.withLock { state -> (InferenceRun?, Instant?) in
      if state.run == nil { state.waiting.append(event) }
      return (state.run.take(), state.pausedSince)
    }
    var event = event
    while run != nil {
      let now = client.now
      let directives = handle(event, &run, pausedSince: pausedSince, now: now)
      let (effects, next) = state.withLock { state -> (Effects, Event?) in
        var effects = Effects()
        apply(directives, &state, &effects)
        if effects.attempts != nil { effects.attempts = run?.attempts }
        let next = state.waiting.popFirst()
        if next == nil { state.run = run.take() }
        settle(&state, &effects, now: now)
        rearm(&state, &effects)
        pausedSince = state.pausedSince
        return (effects, next)
      }
      perform(effects, now: now)
      guard let next else { return }
      event = next
    }
  }

  private func handle(
    _ event: Event, _ run: inout InferenceRun?, pausedSince: Instant?, now: Instant
  ) -> [InferenceRun.Directive] {
    switch event {
    case .begin: return run?.begin(client, now: now) ?? []
    case .head(let status, let id):
      run?.received(status: status, from: id)
      return []
    case .items(let items, let id):
      var directives: [InferenceRun.Directive] = []
      for item in items {
        directives += run?.received(item, from: id, cluster: client, now: now) ?? []
      }
      return directives
    case .sign(let id):
      run?.receivedSign(from: id, now: now)
      return []
    case .failed(let failure, let id):
      return run?.failed(failure, id, cluster: client, now: now) ?? []
    case .timePassed:
      if let pausedSince, pausedSince.advanced(by: Self.readerStall) <= now {
        return run?.abandon(Self.stalled, now: now) ?? []
      }
      return run?.tick(cluster: client, now: now) ?? []
    case .abandon(let failure): return run?.abandon(failure, now: now) ?? []
    }
  }

  private static let stalled = Failure(
    .slowReader,
    "the client read nothing for \(Limits.readerStall.value / 1_000) s while the answer waited "
      + "(limit \(Limits.readerStall.name))")

  /// Queues an event while the run is out of the lock.
  ///
  /// The answer does not wait for the run if the client leaves or the deadline of the whole answer
  /// passes. It then ends immediately.
  private func wait(
    _ event: Event, _ state: inout State, _ effects: inout Effects, now: Instant
  ) {
    switch event {
    case .abandon(let failure): endEarly(failure, &state, &effects)
    case .timePassed where deadline <= now:
      endEarly(
        Failure(.deadlineExceeded, "the whole answer took longer than its deadline"), &state,
        &effects)
    // A sign is dropped, because the next event of the host also shows that the host is alive.
    case .sign: return
    case .begin, .head, .items, .failed, .timePassed: break
    }
    state.waiting.append(event)
  }

  private func endEarly(_ failure: Failure, _ state: inout State, _ effects: inout Effects) {
    open(.failure(failure), &state, &effects)
    if state.end == nil { state.end = .failure(failure) }
    effects.cancels += state.upstream.values.compactMap { $0 }
  }

  // MARK: - Under the lock

  private func apply(
    _ directives: [InferenceRun.Directive], _ state: inout State, _ effects: inout Effects
  ) {
    for directive in directives {
      switch directive {
      case .start(let id, let candidate, let resume):
        state.upstream.updateValue(nil, forKey: id)
        effects.starts.append((id, candidate, resume))
      case .cancel(let id):
        if let task = state.upstream.removeValue(forKey: id) ?? nil { effects.cancels.append(task) }
      case .release(let id):
        if let task = state.upstream.removeValue(forKey: id) ?? nil {
          effects.releases.append(task)
        }
      case .observe(let host, let observation, let started):
        // Recorded under the lock of this session, because the run's next decision must include the
        // observation.
        client.observe(observation, of: host, for: asker, started: started)
      case .open(let opening):
        open(.success(opening), &state, &effects)
      case .deliver(let event):
        if case .finished(let summary) = event { state.summary = summary }
        guard state.end == nil else { continue }
        state.unread.append(event)
        state.unreadBytes += event.keptBytes
      case .complete:
        end(.success(()), &state, &effects)
      case .fail(let failure):
        var failure = failure
        // The refusal usually comes from the attempt that began last, so the client gets the
        // headers of this attempt.
        let last = state.headers.max { $0.key.number < $1.key.number }
        failure.refusal?.headers = last?.value ?? []
        open(.failure(failure), &state, &effects)
        end(.failure(failure), &state, &effects)
      }
    }
  }

  private func open(
    _ result: Result<InferenceOpening, Failure>, _ state: inout State, _ effects: inout Effects
  ) {
    guard state.opening == nil else { return }
    state.opening = result
    effects.opened = state.openWaiter.take()
    effects.opening = result
  }

  private func end(
    _ result: Result<Void, Failure>, _ state: inout State, _ effects: inout Effects
  ) {
    if state.end == nil { state.end = result }
    effects.attempts = []
  }

  /// Gives unread events to a waiting reader, and resumes the host streams that waited for the
  /// reader or for the run.
  func settle(_ state: inout State, _ effects: inout Effects, now: Instant) {
    if !state.unread.isEmpty || state.end != nil, let reader = state.readWaiter.take() {
      effects.reader = reader
      if state.unread.isEmpty, let end = state.end {
        effects.read = end.map { [] }
      } else {
        effects.read = .success(state.unread)
        state.unread = []
        state.unreadBytes = 0
      }
    }
    guard !state.paused.isEmpty || state.pausedSince != nil else { return }
    guard state.end != nil || !state.isFull && state.run != nil else { return }
    effects.resumed = state.paused
    state.paused = []
    if state.pausedSince != nil {
      state.pausedSince = nil
      state.run?.readingResumed(now: now)
      effects.account = state.account
      effects.charge = state.unreadBytes
      rearm(&state, &effects)
    }
  }

  /// Pauses a host's stream if the client has too many unread bytes, or if the run is out of the
  /// lock. Reading resumes after the client has read, or after the run has handled the items.
  private func pause(
    _ state: inout State, _ effects: inout Effects, now: Instant
  ) {
    guard state.isFull || state.run == nil else { return }
    if state.isFull {
      if state.account == nil {
        state.account = client.memory.unreadAccount { [weak self] failure in
          self?.step(.abandon(failure))
        }
      }
      effects.account = state.account
      effects.charge = state.unreadBytes
    }
    guard state.end == nil else { return }
    let promise = pool.eventLoop.makePromise(of: Void.self)
    state.paused.append(promise)
    effects.pause = promise.futureResult
    guard state.isFull, state.pausedSince == nil else { return }
    state.pausedSince = now
    state.run?.readingPaused(now: now)
    Counter(label: "tutti_inference_paused_total").increment()
  }

  /// Arms the timer for the next wake time. An armed timer is replaced only by an earlier one, so a
  /// token usually needs no new timer.
  private func rearm(_ state: inout State, _ effects: inout Effects) {
    var wake = state.run == nil ? deadline : state.run?.nextWake
    if let since = state.pausedSince {
      let stall = since.advanced(by: Self.readerStall)
      wake = min(wake ?? stall, stall)
    }
    guard state.end == nil, let wake else {
      state.timer?.cancel()
      state.timer = nil
      state.timerWake = nil
      return
    }
    if let armed = state.timerWake, armed <= wake { return }
    state.timer?.cancel()
    state.timer = nil
    state.timerWake = wake
    effects.wakeAt = wake
  }

  // MARK: - Outside the lock

  func perform(_ effects: Effects, now: Instant) {
    for task in effects.cancels { task.cancel() }
    for task in effects.releases {
      pool.eventLoop.scheduleTask(in: Self.releaseGrace) { task.cancel() }
    }
    if let wake = effects.wakeAt { arm(wake, now: now) }
    for (id, candidate, resume) in effects.starts { start(id, candidate, resume) }
    if let attempts = effects.attempts { recordOutcome(attempts) }
    if let opened = effects.opened, let opening = effects.opening {
      opened.resume(returning: opening.map { $0 })
    }
    effects.reader?.resume(returning: effects.read)
    for promise in effects.resumed { promise.succeed() }
    if let account = effects.account, !account.set(effects.charge) {
      step(.abandon(client.memory.largestUnread))
    }
  }

  private func arm(_ wake: Instant, now: Instant) {
    let delay = max(.zero, now.duration(to: wake))
    let timer = pool.eventLoop.scheduleTask(
      in: .nanoseconds(delay.nanosecondsRoundedUp)
    ) { [weak self] () -> Void in self?.timerFired() }
    let isStale = state.withLock { state in
      guard state.timerWake == wake else { return true }
      state.timer = timer
      return false
    }
    if isStale { timer.cancel() }
  }

  private func timerFired() {
    state.withLock { state in
      state.timer = nil
      state.timerWake = nil
    }
    step(.timePassed)
  }
}
