import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Limits
import Logging
import NIOCore
import Overload
import Synchronization

/// Shell around one `InferenceRun`: connections, a timer and the client's reads.
///
/// Events come from the event loops of the HTTP client, from the timer and from the reader. The
/// session passes each event to the run under the lock, and performs the run's directives outside
/// the lock.
///
/// An event that takes long is handled on the thread for heavy work. The run is then taken out of
/// the lock, and other events wait in order. But if the client leaves or the deadline of the whole
/// answer passes, the answer ends immediately.
final class InferenceSession: Sendable {
  /// An input of the run.
  enum Event: Sendable {
    case begin
    case head(status: Int, AttemptID)
    case items([UpstreamItem], AttemptID)
    /// A comment, a ping or another event without content. It shows that the host is alive, but is
    /// no answer.
    case sign(AttemptID)
    case failed(AttemptFailure, AttemptID)
    case timePassed
    case abandon(Failure)
  }

  struct State {
    /// The run. `nil` means that an event is being handled outside the lock.
    var run: InferenceRun?
    /// Events that arrived while `run` was `nil`, in order.
    var waiting: ArraySlice<Event> = []
    /// HTTP tasks of the running attempts. An inner `nil` means that the task is not stored yet.
    var upstream: [AttemptID: HTTPClient.Task<Void>?] = [:]
    var headers: [AttemptID: [PassedHeader]] = [:]
    var opening: Result<InferenceOpening, Failure>?
    var openWaiter: CheckedContinuation<Result<InferenceOpening?, Failure>, Never>?
    /// Number of waits for the opening so far. The timer of an earlier wait must not end a later
    /// wait.
    var openWaits = 0
    var unread: [InferenceEvent] = []
    var unreadBytes = 0
    /// Promises for paused host streams. When they succeed, the streams are read further.
    var paused: [EventLoopPromise<Void>] = []
    /// Time at which the client stopped reading. `nil` means that the client reads.
    var pausedSince: Instant?
    /// Account for the memory of unread events. Opened when the client first stops reading.
    var account: MemoryAccount?
    var summary: InferenceSummary?
    /// The end of the answer. `nil` means that more events may come.
    var end: Result<Void, Failure>?
    var readWaiter: CheckedContinuation<Result<[InferenceEvent], Failure>, Never>?
    var timer: Scheduled<Void>?
    var timerWake: Instant?
    /// Translated requests. Only large ones are kept, so that they are not translated twice.
    var prepared: [PreparedKey: UpstreamRequest] = [:]

    var isFull: Bool { unreadBytes > Limits.streamPause.value }
  }

  static let left = Failure(.cancelled, "the client has left")

  let client: InferenceClient
  let request: InferenceRequest
  /// The client that sent the request. `nil` means that Tutti itself sends the request.
  let asker: ClientFingerprint?
  let pool: UpstreamConnections.Pool
  let state: Mutex<State>
  /// Deadline of the whole answer.
  let deadline: Instant
  /// Estimated tokens of the prompt.
  let promptTokens: Int

  /// Whether the request is so large that a translation or a search for a host takes long.
  var isLarge: Bool { request.body.count > Limits.heavyBytes.value }
  /// Whether the answer is so long that its assembly or its resumption at another host takes long.
  let answerIsLong = Atomic(false)

  init(client: InferenceClient, request: InferenceRequest, constraints: InferenceConstraints) {
    self.client = client
    self.request = request
    asker = constraints.client
    pool = client.connections.pool()
    deadline = client.now.advanced(by: constraints.deadlines.total)
    let run = InferenceRun(
      request: request, constraints: constraints, limits: client.inferenceLimits)
    promptTokens = run.estimatedPromptTokens
    state = Mutex(State(run: run))
  }

  // MARK: - The reader's side

  /// Asks the first host.
  func begin() { step(.begin) }

  /// Waits until the answer begins. Returns `nil` if it does not begin within `patience`.
  ///
  /// - Parameter patience: maximum wait. `nil` means no limit.
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

  /// Takes all unread events. If there are none, waits for more. An empty array means the end.
  func take() async throws(Failure) -> [InferenceEvent] {
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = client.now
        let (known, effects) = state.withLock {
          state -> (Result<[InferenceEvent], Failure>?, Effects?) in
          if !state.unread.isEmpty {
            let events = state.unread
            state.unread = []
            state.unreadBytes = 0
            guard state.pausedSince != nil || !state.paused.isEmpty else {
              return (.success(events), nil)
            }
            var effects = Effects()
            settle(&state, &effects, now: now)
            return (.success(events), effects)
          }
          if let end = state.end { return (end.map { [] }, nil) }
          precondition(state.readWaiter == nil, "an inference is read by two tasks")
          state.readWaiter = continuation
          return (nil, nil)
        }
        if let effects { perform(effects, now: now) }
        if let known { continuation.resume(returning: known) }
      }
    } onCancel: {
      leave()
    }
    return try result.get()
  }

  /// Cancels the requests at the hosts, because the client no longer reads.
  func leave() { step(.abandon(Self.left)) }

  // MARK: - The host's side

  func received(status: Int, _ headers: [PassedHeader], from id: AttemptID) {
    if !headers.isEmpty { state.withLock { $0.headers[id] = headers } }
    step(.head(status: status, id))
  }

  /// The attempts that have ended. Empty while an event is handled outside the lock.
  var attempts: [AttemptRecord] { state.withLock { $0.run?.attempts ?? [] } }

  /// The headers of an attempt's response that the client gets.
  func headers(of id: AttemptID) -> [PassedHeader] { state.withLock { $0.headers[id] ?? [] } }

  /// - Returns: a future to wait for before more of the host's stream is read. `nil` means that no
  ///   wait is needed.
  func received(_ items: [UpstreamItem], from id: AttemptID) -> EventLoopFuture<Void>? {
    items.isEmpty ? nil : step(.items(items, id))
  }

  func receivedSign(from id: AttemptID) { step(.sign(id)) }

  /// Handles items that are so large that the run needs long for them. Called on the thread for
  /// heavy work.
  func receivedOutside(_ items: [UpstreamItem], from id: AttemptID) -> EventLoopFuture<Void>? {
    items.isEmpty ? nil : stepOutside(.items(items, id))
  }

  func failed(_ failure: AttemptFailure, _ id: AttemptID) { step(.failed(failure, id)) }
}

extension Duration {
  /// Nanoseconds, rounded up. If a timer fired too early, there would be nothing to do yet.
  var nanosecondsRoundedUp: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
  }
}

extension InferenceEvent {
  /// Memory of the event while the client has not read it: capacity of its buffers, and the entry
  /// itself.
  var keptBytes: Int {
    switch self {
    case .chunk(let chunk):
      chunk.data.capacity + (chunk.facts.deltaJSON?.capacity ?? 0) + Self.entryBytes
    case .body(let body): body.capacity + Self.entryBytes
    case .resumed, .finished: Self.entryBytes
    }
  }

  /// Estimated memory of the event, of the header of its array, and of the strings in a chunk's
  /// facts.
  private static let entryBytes = MemoryLayout<InferenceEvent>.stride + 256
}
