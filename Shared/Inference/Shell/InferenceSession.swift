import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Limits
import Logging
import NIOCore
import Overload
import Synchronization

/// Shell around one `InferenceRun`: sockets, a timer and the waiting reader.
///
/// Events come from the HTTP client's event loops, the timer and the reader. The session passes
/// each to the run under the lock and performs the run's directives outside it. An event that takes
/// long is handled on the thread for heavy work, with the run taken out of the lock. Events that
/// arrive meanwhile wait in order; a client that leaves does not wait.
final class InferenceSession: Sendable {
  /// An input of the run.
  enum Event: Sendable {
    case begin
    case head(status: Int, AttemptID)
    case items([UpstreamItem], AttemptID)
    /// A comment, a ping or an empty event: the host is alive but sends no answer.
    case sign(AttemptID)
    case failed(AttemptFailure, AttemptID)
    case timePassed
    case abandon(Failure)
  }

  struct State {
    /// `nil` while an event is handled outside the lock.
    var run: InferenceRun?
    /// Events that arrived while `run` was `nil`, in order.
    var waiting: ArraySlice<Event> = []
    /// HTTP tasks of the running attempts; `nil` means that the task is not stored yet.
    var upstream: [AttemptID: HTTPClient.Task<Void>?] = [:]
    var headers: [AttemptID: [PassedHeader]] = [:]
    var opening: Result<InferenceOpening, Failure>?
    var openWaiter: CheckedContinuation<Result<InferenceOpening?, Failure>, Never>?
    /// Counts waits, so that the timer of an earlier wait does not end a later one.
    var openWaits = 0
    var unread: [InferenceEvent] = []
    var unreadBytes = 0
    /// Reads of host streams that continue once the client has read.
    var paused: [EventLoopPromise<Void>] = []
    /// When the client stopped reading; `nil` means that it reads.
    var pausedSince: Instant?
    /// Account for the memory of unread events, opened when the client first stops reading.
    var account: MemoryAccount?
    var summary: InferenceSummary?
    /// `nil` means that more events may come.
    var end: Result<Void, Failure>?
    var readWaiter: CheckedContinuation<Result<[InferenceEvent], Failure>, Never>?
    var timer: Scheduled<Void>?
    var timerWake: Instant?
    /// Translated requests whose bodies are too large to be translated twice.
    var prepared: [PreparedKey: UpstreamRequest] = [:]

    var isFull: Bool { unreadBytes > Limits.streamPause.value }
  }

  static let left = Failure(.cancelled, "the client has left")

  let client: InferenceClient
  let request: InferenceRequest
  /// The client that sent the request; `nil` means that it is unknown.
  let asker: ClientFingerprint?
  let pool: UpstreamConnections.Pool
  let state: Mutex<State>
  /// Deadline of the whole answer.
  let deadline: Instant

  /// Whether it takes long to translate the request or to search for a host.
  var isLarge: Bool { request.body.count > Limits.heavyBytes.value }
  /// Whether it takes long to assemble the answer or to ask another host to resume it.
  let answerIsLong = Atomic(false)

  init(client: InferenceClient, request: InferenceRequest, constraints: InferenceConstraints) {
    self.client = client
    self.request = request
    asker = constraints.client
    pool = client.connections.pool()
    deadline = client.now.advanced(by: constraints.deadlines.total)
    state = Mutex(
      State(
        run: InferenceRun(
          request: request, constraints: constraints, limits: client.inferenceLimits)))
  }

  // MARK: - The reader's side

  /// Asks the first host.
  func begin() { step(.begin) }

  /// Waits for the answer to begin. Returns `nil` if it does not begin within `patience`.
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

  /// Takes all unread events, and waits if there are none. Returns an empty array at the end.
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

  /// Cancels the requests at hosts, because the client no longer reads.
  func leave() { step(.abandon(Self.left)) }

  // MARK: - The host's side

  func received(status: Int, _ headers: [PassedHeader], from id: AttemptID) {
    if !headers.isEmpty { state.withLock { $0.headers[id] = headers } }
    step(.head(status: status, id))
  }

  /// Headers of an attempt's response that are meant for the client.
  func headers(of id: AttemptID) -> [PassedHeader] { state.withLock { $0.headers[id] ?? [] } }

  /// - Returns: A future after which the host's stream may be read further; `nil` means at once.
  func received(_ items: [UpstreamItem], from id: AttemptID) -> EventLoopFuture<Void>? {
    items.isEmpty ? nil : step(.items(items, id))
  }

  func receivedSign(from id: AttemptID) { step(.sign(id)) }

  /// Handles items that are so large that the run takes long to handle them. Called on the thread
  /// for heavy work.
  func receivedOutside(_ items: [UpstreamItem], from id: AttemptID) -> EventLoopFuture<Void>? {
    items.isEmpty ? nil : stepOutside(.items(items, id))
  }

  func failed(_ failure: AttemptFailure, _ id: AttemptID) { step(.failed(failure, id)) }
}

extension Duration {
  /// Rounded up, because a timer that fires early would find nothing to do.
  var nanosecondsRoundedUp: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
  }
}

extension InferenceEvent {
  /// Memory of the event while the client has not read it: capacity, and the entry itself.
  var keptBytes: Int {
    switch self {
    case .chunk(let chunk):
      chunk.data.capacity + (chunk.facts.deltaJSON?.capacity ?? 0) + Self.entryBytes
    case .body(let body): body.capacity + Self.entryBytes
    case .resumed, .finished: Self.entryBytes
    }
  }

  /// The event, the header of its array, and the strings of a chunk's facts.
  private static let entryBytes = MemoryLayout<InferenceEvent>.stride + 256
}
