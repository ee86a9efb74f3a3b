import ClusterModel
import GatewayCore
import InferenceCore
import Limits
import Synchronization
import Telemetry
import Text

/// Streams a plan's answer: deltas as they arrive, with progress as comments between them.
struct PlanStream {
  /// Events that wake the writer of a stream.
  private enum Signal: Sendable {
    case event(PlanEvent)
    /// A progress line is due.
    case progress
    case keepAlive
  }

  /// The result of the plan, which is read after all events. It is no signal, so it needs no room
  /// in the queue.
  private final class Outcome: Sendable {
    private let result = Mutex(Result<Void, Failure>?.none)

    /// - Returns: the result. `nil` means that the plan has not ended.
    func get() -> Result<Void, Failure>? { result.withLock { $0 } }

    /// Sets the result. Only the first call has an effect.
    func set(_ new: Result<Void, Failure>) { result.withLock { $0 = $0 ?? new } }
  }

  private let answer: PlanAnswer
  private let plan: RunningPlan
  private let composer: ChatComposer
  private var client: ClientStream
  private var pacer = ProgressPacer()
  /// The time for which the last alarm was set.
  private var alarmTime: Instant?
  private let alarm: AsyncStream<Duration>.Continuation
  private let alarms: AsyncStream<Duration>
  /// Span of the delivery. `nil` until the first piece of the answer.
  private var delivery: OpenSpan?
  private var pieces = 0
  private var bytes = 0
  /// Tokens that were sent to the client.
  private var tally = TokenTally()

  init(
    _ answer: PlanAnswer, _ plan: RunningPlan, _ composer: ChatComposer, to client: ClientStream
  ) {
    self.answer = answer
    self.plan = plan
    self.composer = composer
    self.client = client
    // The writer sets an alarm only after the time of the last one, so the buffer needs one place.
    (alarms, alarm) = AsyncStream<Duration>.makeStream(bufferingPolicy: .bufferingNewest(1))
    pacer.plan()
  }

  /// Runs the plan and sends its answer or its failure.
  /// - Throws: an error if the client has left.
  @concurrent
  mutating func run() async throws {
    let (departures, trace) = (answer.resources.departures, answer.exchange.trace.trace)
    departures.begin(trace)
    do throws(Failure) {
      try await deliver()
      departures.end(trace)
    } catch {
      answer.recordUsage(plan.read { $0 }, written: tally.total)
      answer.settleIncomplete(plan, written: tally.total)
      try await client.fail(error)
    }
  }

  // MARK: - Tasks

  /// Runs the plan, the timers and the writer at the same time.
  @concurrent
  private mutating func deliver() async throws(Failure) {
    let (answer, plan, alarm, alarms) = (self.answer, self.plan, self.alarm, self.alarms)
    // The backlog bounds the bytes of the waiting signals.
    let (signals, source) = AsyncStream<Signal>.makeStream(bufferingPolicy: .unbounded)
    let outcome = Outcome()
    let registration = answer.resources.answers.register(key: answer.exchange.key) { failure in
      outcome.set(.failure(failure))
      source.finish()
    }
    defer { registration.unregister() }
    let keepAlive = answer.resources.configuration.keepAlive
    let backlog = PlanBacklog(answer.resources.memory) { failure in
      outcome.set(.failure(failure))
      source.finish()
    }
    let result = await withTaskGroup(of: Void.self) { group in
      group.addTask {
        do throws(Failure) {
          try await answer.run(plan) { event throws(Failure) in
            guard backlog.add(event) else { throw PlanBacklog.slowReader }
            source.yield(.event(event))
          }
          outcome.set(.success(()))
        } catch {
          outcome.set(.failure(error))
        }
        source.finish()
      }
      group.addTask {
        while (try? await Task.sleep(for: keepAlive)) != nil { source.yield(.keepAlive) }
      }
      group.addTask {
        for await delay in alarms {
          guard (try? await Task.sleep(for: delay)) != nil else { return }
          source.yield(.progress)
        }
      }
      let result = await write(signals, outcome, backlog)
      group.cancelAll()
      source.finish()
      alarm.finish()
      return result
    }
    try result.get()
  }

  // MARK: - Writing

  @concurrent
  private mutating func write(
    _ signals: AsyncStream<Signal>, _ outcome: Outcome, _ backlog: PlanBacklog
  ) async -> Result<Void, Failure> {
    do throws(Failure) {
      try await sendProgress()
      var quietSince = 0
      for await signal in signals {
        switch signal {
        case .keepAlive:
          // A keep-alive is sent only if no piece of the answer was sent since the last tick. The
          // answer may pause in the middle while it waits for another agent or dispatcher.
          if pieces == quietSince { try await client.send(SSE.keepAlive) }
          quietSince = pieces
        case .progress: try await sendProgress()
        case .event(let event):
          defer { backlog.remove(event) }
          pacer.note(event)
          try await sendProgress()
          answer.recordHost(in: event, of: plan)
          if case .delta(let delta) = event { try await send(delta) }
        }
      }
      // The loop ends without an outcome only if the client left and the Swift task was cancelled.
      guard let ended = outcome.get() else { throw Failure.clientLeft }
      try ended.get()
      try await close()
      return .success(())
    } catch {
      delivery?.end(failed: true)
      return .failure(error)
    }
  }

  /// Sends the progress line if it is due, and sets the alarm for the next line.
  @concurrent
  private mutating func sendProgress() async throws(Failure) {
    let now = plan.now
    let line = plan.read { pacer.take(from: $0, now: now) }
    if let due = pacer.due, alarmTime != due {
      alarmTime = due
      alarm.yield(now.duration(to: due))
    }
    if let line { try await client.progress(line) }
  }

  @concurrent
  private mutating func send(_ delta: TaskDelta) async throws(Failure) {
    guard !delta.text.isEmpty || delta.deltaJSON != nil else { return }
    try await open()
    try await client.send(SSE.data(composer.delta(delta)))
    answer.exchange.journal.recordFirstToken()
    tally.take(bytes: delta.text.utf8.count)
    answer.exchange.payment?.wrote(tally.total)
    pieces += 1
    bytes += delta.text.utf8.count
  }

  /// Sends the chunk that begins the answer. Later calls do nothing.
  @concurrent
  private mutating func open() async throws(Failure) {
    guard delivery == nil else { return }
    delivery = answer.exchange.journal.phase(.delivery)
    try await client.send(SSE.data(composer.opening()))
  }

  @concurrent
  private mutating func close() async throws(Failure) {
    try await open()
    let trace = plan.read { $0 }
    if let line = pacer.rest(from: trace) { try await client.progress(line) }
    answer.recordUsage(trace)
    let finish = trace.ending?.finishReason ?? "stop"
    let bill = answer.exchange.payment?.bill(trace)
    answer.exchange.journal.recordCost(bill?.billed)
    if let bill { answer.exchange.payment?.settle(bill) }
    let extra = answer.additions(trace, plan.estimateOutcome, bill)
    if answer.exchange.request.includeUsage {
      try await client.send(SSE.data(composer.closing(finish: finish)))
      let usage = [("usage", ChatComposer.usage(trace.usage))]
      try await client.send(SSE.data(composer.extra(usage + extra)))
    } else {
      try await client.send(SSE.data(composer.closing(finish: finish, adding: extra)))
    }
    try await client.send(SSE.done)
    delivery?.set("pieces", String(pieces))
    delivery?.set("bytes", String(bytes))
    try await client.finish(delivery)
  }
}
