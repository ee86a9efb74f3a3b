import ClusterModel
import GatewayCore
import Hummingbird
import Limits
import ServiceKit
import Synchronization
import Telemetry
import Text

/// Streams a plan's answer: deltas as they arrive, with progress as comments between them.
extension GatewayShell {
  /// Events that wake the writer of a stream.
  private enum Signal: Sendable {
    case event(PlanEvent)
    /// A progress line is due.
    case progress
    case keepAlive
  }

  /// The end of the plan, read after all events. Not a signal, so it needs no room in the queue.
  private final class Outcome: Sendable {
    private let result = Mutex(Result<Void, Failure>?.none)

    /// - Returns: the result. `nil` means that the plan has not ended.
    func get() -> Result<Void, Failure>? { result.withLock { $0 } }

    /// The first result wins.
    func set(_ new: Result<Void, Failure>) { result.withLock { $0 = $0 ?? new } }
  }

  @concurrent
  func relay(
    _ exchange: Exchange, _ plan: RunningPlan, _ composer: ChatComposer,
    _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    // The backlog bounds this by bytes.
    let (signals, source) = AsyncStream<Signal>.makeStream(bufferingPolicy: .unbounded)
    // One alarm at a time: the writer sets the next after the last has fired.
    let (alarms, alarm) = AsyncStream<Duration>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let outcome = Outcome()
    let registration = answers.register {
      outcome.set(.failure(InFlightAnswers.ended))
      source.finish()
    }
    defer { registration.unregister() }
    let keepAlive = configuration.keepAlive
    let backlog = PlanBacklog(memory) { failure in
      outcome.set(.failure(failure))
      source.finish()
    }
    let result = await withTaskGroup(of: Void.self) { group in
      group.addTask {
        do throws(Failure) {
          try await self.run(plan, exchange) { event throws(Failure) in
            guard backlog.add(event) else {
              throw Failure(
                .slowReader,
                "the client reads more slowly than the answer arrives: more than "
                  + "\(Limits.streamUnread.value) bytes of it are unread (limit "
                  + "\(Limits.streamUnread.name))")
            }
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
      var stream = PlanStream(exchange, plan, composer) { alarm.yield($0) }
      let result = await write(signals, outcome, backlog, &stream, &writer)
      group.cancelAll()
      source.finish()
      alarm.finish()
      return result
    }
    try result.get()
  }

  /// The writer's state of one stream.
  private struct PlanStream {
    let exchange: Exchange
    let plan: RunningPlan
    let composer: ChatComposer
    let wake: @Sendable (Duration) -> Void
    var pacer = ProgressPacer()
    /// Set from the first piece of the answer on.
    var delivery: OpenSpan?
    var pieces = 0
    var bytes = 0
    private var awaited: Instant?

    init(
      _ exchange: Exchange, _ plan: RunningPlan, _ composer: ChatComposer,
      wake: @escaping @Sendable (Duration) -> Void
    ) {
      self.exchange = exchange
      self.plan = plan
      self.composer = composer
      self.wake = wake
      pacer.plan()
    }

    /// Returns the progress line if one is due, and sets the alarm for the next.
    mutating func progress() -> [UInt8]? {
      let now = plan.now
      let line = plan.read { pacer.take(from: $0, now: now) }
      if let due = pacer.due, awaited != due {
        awaited = due
        wake(now.duration(to: due))
      }
      return line
    }
  }

  @concurrent
  private func write(
    _ signals: AsyncStream<Signal>, _ outcome: Outcome, _ backlog: PlanBacklog,
    _ stream: inout PlanStream, _ writer: inout any ResponseBodyWriter
  ) async -> Result<Void, Failure> {
    do throws(Failure) {
      try await tell(stream.progress(), stream, &writer)
      var quietSince = 0
      for await signal in signals {
        switch signal {
        case .keepAlive:
          // An answer that has begun also pauses, while it waits for another agent or dispatcher.
          if stream.pieces == quietSince { try await send(SSE.keepAlive, &writer) }
          quietSince = stream.pieces
        case .progress: try await tell(stream.progress(), stream, &writer)
        case .event(let event):
          defer { backlog.remove(event) }
          stream.pacer.note(event)
          try await tell(stream.progress(), stream, &writer)
          if case .delta(let delta) = event { try await pass(delta, &stream, &writer) }
        }
      }
      // Only cancellation leaves the loop without an outcome.
      guard let ended = outcome.get() else {
        throw Failure(.cancelled, "the client has left")
      }
      try ended.get()
      try await close(&stream, &writer)
      return .success(())
    } catch {
      stream.delivery?.end(failed: true)
      return .failure(error)
    }
  }

  @concurrent
  private func tell(
    _ line: [UInt8]?, _ stream: PlanStream, _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    guard let line else { return }
    try await send(SSE.comment(line), &writer)
    stream.exchange.journal.recordProgress()
  }

  @concurrent
  private func pass(
    _ delta: TaskDelta, _ stream: inout PlanStream, _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    guard !delta.text.isEmpty || delta.deltaJSON != nil else { return }
    try await open(&stream, &writer)
    try await send(SSE.data(stream.composer.delta(delta)), &writer)
    stream.exchange.journal.recordFirstToken()
    stream.pieces += 1
    stream.bytes += delta.text.utf8.count
  }

  @concurrent
  private func open(
    _ stream: inout PlanStream, _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    guard stream.delivery == nil else { return }
    stream.delivery = stream.exchange.journal.phase(.delivery)
    try await send(SSE.data(stream.composer.opening()), &writer)
  }

  @concurrent
  private func close(
    _ stream: inout PlanStream, _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    try await open(&stream, &writer)
    let told = stream.plan.read { $0 }
    try await tell(stream.pacer.rest(from: told), stream, &writer)
    note(told, stream.exchange)
    let finish = told.ending?.finishReason ?? "stop"
    let extra = additions(told, stream.plan.estimateOutcome, stream.exchange)
    if stream.exchange.request.includeUsage {
      try await send(SSE.data(stream.composer.closing(finish: finish)), &writer)
      let usage = [("usage", ChatComposer.usage(told.usage))]
      try await send(SSE.data(stream.composer.extra(usage + extra)), &writer)
    } else {
      try await send(SSE.data(stream.composer.closing(finish: finish, adding: extra)), &writer)
    }
    try await send(SSE.done, &writer)
    try await self.finish(&writer)
    stream.delivery?.set("pieces", String(stream.pieces))
    stream.delivery?.set("bytes", String(stream.bytes))
    stream.delivery?.end()
    stream.exchange.journal.end(status: 200)
  }
}
