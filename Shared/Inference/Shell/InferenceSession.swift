import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Logging
import NIOCore
import Synchronization

/// The shell around one `InferenceRun`: sockets, a timer, and the reader who waits.
///
/// Events come from the HTTP client's event loops, the timer and the reader; each is handed to the
/// machine under the lock, and what it directs is done outside.
final class InferenceSession: Sendable {
  /// What waits for a reader that is slower than its host: some 3,500 chunks. Beyond it the stream
  /// is cut; pausing the host instead would hold its slot hostage.
  static let maximumUnreadBytes = 1 << 20
  /// How long a response may go on after its last word before its connection is closed.
  private static let releaseGrace = TimeAmount.seconds(1)

  private struct State {
    var run: InferenceRun
    /// nil: not handed over yet.
    var upstream: [AttemptID: HTTPClient.Task<Void>?] = [:]
    var opening: Result<InferenceOpening, Failure>?
    var openWaiter: CheckedContinuation<Result<InferenceOpening?, Failure>, Never>?
    /// Counts waits, so that the timer of an earlier one ends no later one.
    var openWaits = 0
    var unread: [InferenceEvent] = []
    var unreadBytes = 0
    var isTooSlow = false
    var summary: InferenceSummary?
    /// nil: more may come.
    var end: Result<Void, Failure>?
    var readWaiter: CheckedContinuation<Result<[InferenceEvent], Failure>, Never>?
    var timer: Scheduled<Void>?
    var timerWake: Instant?
  }

  private let client: InferenceClient
  private let request: InferenceRequest
  /// Whose request it is.
  private let asker: ClientFingerprint?
  private let pool: UpstreamConnections.Pool
  private let state: Mutex<State>

  init(client: InferenceClient, request: InferenceRequest, constraints: InferenceConstraints) {
    self.client = client
    self.request = request
    asker = constraints.client
    pool = client.connections.pool()
    state = Mutex(
      State(
        run: InferenceRun(
          request: request, constraints: constraints, limits: client.inferenceLimits)))
  }

  // MARK: - The reader's side

  /// Asks the first host.
  func begin() {
    step { run, now in run.begin(client, now: now) }
  }

  /// Waits for the beginning of the answer; nil when it has not come within that time.
  func open(within patience: Duration?) async throws(Failure) -> InferenceOpening? {
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (known, number) = state.withLock {
          state -> (Result<InferenceOpening?, Failure>?, Int) in
          if let opening = state.opening { return (opening.map { $0 }, 0) }
          precondition(state.openWaiter == nil, "an inference is awaited by two tasks")
          state.openWaiter = continuation
          state.openWaits += 1
          return (nil, state.openWaits)
        }
        if let known {
          continuation.resume(returning: known)
        } else if let patience {
          pool.eventLoop.scheduleTask(in: .nanoseconds(patience.nanosecondsRoundedUp)) {
            [weak self] in
            _ = self?.stopWaiting(number)
          }
        }
      }
    } onCancel: {
      leave()
    }
    return try result.get()
  }

  private func stopWaiting(_ number: Int) {
    let waiter = state.withLock { state in
      state.openWaits == number ? state.openWaiter.take() : nil
    }
    waiter?.resume(returning: .success(nil))
  }

  /// What has come since; waits when it is nothing. Empty at the end.
  func take() async throws(Failure) -> [InferenceEvent] {
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let (known, freed) = state.withLock {
          state -> (Result<[InferenceEvent], Failure>?, Int) in
          if !state.unread.isEmpty {
            defer {
              state.unread = []
              state.unreadBytes = 0
            }
            return (.success(state.unread), state.unreadBytes)
          }
          if let end = state.end { return (end.map { [] }, 0) }
          precondition(state.readWaiter == nil, "an inference is read by two tasks")
          state.readWaiter = continuation
          return (nil, 0)
        }
        if freed > 0 { client.free(bytes: freed) }
        if let known { continuation.resume(returning: known) }
      }
    } onCancel: {
      leave()
    }
    return try result.get()
  }

  /// Nobody reads any more: what is under way at a host is cancelled.
  func leave() {
    step { run, now in run.abandon(now: now) }
    let freed = state.withLock { state in
      defer { state.unreadBytes = 0 }
      return state.unreadBytes
    }
    if freed > 0 { client.free(bytes: freed) }
  }

  // MARK: - The host's side

  func received(status: Int, from id: AttemptID) {
    step { run, _ in
      run.received(status: status, from: id)
      return []
    }
  }

  func received(_ items: [UpstreamItem], from id: AttemptID) {
    guard !items.isEmpty else { return }
    step { run, now in
      var directives: [InferenceRun.Directive] = []
      for item in items {
        directives += run.received(item, from: id, cluster: client, now: now)
      }
      return directives
    }
  }

  func failed(_ failure: AttemptFailure, _ id: AttemptID) {
    step { run, now in run.failed(failure, id, cluster: client, now: now) }
  }

  // MARK: - Doing what is directed

  private func step(
    _ event: (inout InferenceRun, Instant) -> [InferenceRun.Directive]
  ) {
    let now = client.now
    let effects = state.withLock { state -> Effects in
      var effects = Effects()
      apply(event(&state.run, now), &state, &effects)
      if state.isTooSlow {
        let failure = Failure(
          .slowReader,
          "the answer was read too slowly and more than "
            + "\(Self.maximumUnreadBytes) bytes of it were waiting")
        apply(state.run.abandon(failure, now: now), &state, &effects)
      }
      handOver(&state, &effects)
      effects.wakeAt = rearm(&state)
      return effects
    }
    perform(effects, now: now)
  }

  /// What is to be done outside the lock, in this order.
  private struct Effects {
    var cancels: [HTTPClient.Task<Void>] = []
    var releases: [HTTPClient.Task<Void>] = []
    var starts: [(AttemptID, Candidate, ResumePoint?)] = []
    var opened: CheckedContinuation<Result<InferenceOpening?, Failure>, Never>?
    var opening: Result<InferenceOpening, Failure>?
    var reader: CheckedContinuation<Result<[InferenceEvent], Failure>, Never>?
    var read: Result<[InferenceEvent], Failure> = .success([])
    var freed = 0
    var wakeAt: Instant?
    var isOver = false
  }

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
        // Under the lock of this run: what its next decision sees must include it.
        client.observe(observation, of: host, for: asker, started: started)
      case .open(let opening):
        open(.success(opening), &state, &effects)
      case .deliver(let event):
        deliver(event, &state)
      case .complete:
        end(.success(()), &state, &effects)
      case .fail(let failure):
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
    guard state.end == nil else { return }
    state.end = result
    effects.isOver = true
  }

  private func deliver(_ event: InferenceEvent, _ state: inout State) {
    state.unread.append(event)
    switch event {
    case .chunk(let chunk):
      guard client.reserve(bytes: chunk.data.count) else {
        state.isTooSlow = true
        return
      }
      state.unreadBytes += chunk.data.count
      if state.unreadBytes > Self.maximumUnreadBytes, state.readWaiter == nil {
        state.isTooSlow = true
      }
    case .body: break  // bounded by the limit for bodies, and there is only one
    case .finished(let summary): state.summary = summary
    }
  }

  /// Gives the waiting reader what there is.
  private func handOver(_ state: inout State, _ effects: inout Effects) {
    guard !state.unread.isEmpty || state.end != nil, let reader = state.readWaiter.take() else {
      return
    }
    effects.reader = reader
    effects.freed = state.unreadBytes
    if state.unread.isEmpty, let end = state.end {
      effects.read = end.map { [] }
    } else {
      effects.read = .success(state.unread)
      state.unread = []
      state.unreadBytes = 0
    }
  }

  /// One timer at a time, only ever moved forward: a token costs no timer of its own.
  private func rearm(_ state: inout State) -> Instant? {
    guard let wake = state.run.nextWake else {
      state.timer?.cancel()
      state.timer = nil
      state.timerWake = nil
      return nil
    }
    if let armed = state.timerWake, armed <= wake { return nil }
    state.timer?.cancel()
    state.timer = nil
    state.timerWake = wake
    return wake
  }

  private func perform(_ effects: Effects, now: Instant) {
    for task in effects.cancels { task.cancel() }
    for task in effects.releases {
      pool.eventLoop.scheduleTask(in: Self.releaseGrace) { task.cancel() }
    }
    if effects.freed > 0 { client.free(bytes: effects.freed) }
    if let wake = effects.wakeAt { arm(wake, now: now) }
    for (id, candidate, resume) in effects.starts { start(id, candidate, resume) }
    if effects.isOver { told() }
    if let opened = effects.opened, let opening = effects.opening {
      opened.resume(returning: opening.map { $0 })
    }
    effects.reader?.resume(returning: effects.read)
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
    step { run, now in run.tick(cluster: client, now: now) }
  }

  private func start(_ id: AttemptID, _ candidate: Candidate, _ resume: ResumePoint?) {
    let upstream: (http: HTTPClient.Request, said: UpstreamRequest, secret: String?)
    do throws(AttemptFailure) {
      upstream = try client.say(request, to: candidate, from: resume)
    } catch {
      failed(error, id)
      return
    }
    let delegate = UpstreamDelegate(
      session: self, attempt: id, reading: upstream.said.reading, secret: upstream.secret,
      limits: client.limits)
    let task = pool.client.execute(request: upstream.http, delegate: delegate)
    let isCurrent = state.withLock { state in
      guard state.upstream[id] != nil else { return false }
      state.upstream[id] = .some(task)
      return true
    }
    // It was given up, or its answer was whole, before the task was known here.
    if !isCurrent { pool.eventLoop.scheduleTask(in: .zero) { task.cancel() } }
  }

  private func told() {
    let (attempts, summary) = state.withLock { ($0.run.attempts, $0.summary) }
    client.metrics.record(attempts: attempts, summary: summary)
    for attempt in attempts {
      guard let failure = attempt.failure else { continue }
      client.logger.debug(
        "host did not answer",
        metadata: [
          "trace_id": "\(request.trace.trace)", "host": "\(attempt.host)",
          "code": "\(failure.kind.rawValue)", "reason": "\(failure.message)",
        ])
    }
  }
}

extension Duration {
  /// A timer that fires a moment early would find nothing to do.
  fileprivate var nanosecondsRoundedUp: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
  }
}
