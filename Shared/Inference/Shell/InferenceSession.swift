import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Limits
import Logging
import NIOCore
import Overload
import Synchronization

/// The shell around one `InferenceRun`: sockets, a timer, and the reader who waits.
///
/// Events come from the HTTP client's event loops, the timer and the reader; each is handed to the
/// machine under the lock, and what it directs is done outside. An event that takes long is handled
/// on the thread for heavy work, with the machine taken out of the lock; what happens meanwhile waits
/// in order, and a client that leaves does not.
final class InferenceSession: Sendable {
  /// What the machine learns.
  enum Event: Sendable {
    case begin
    case head(status: Int, AttemptID)
    case items([UpstreamItem], AttemptID)
    /// A comment, a ping or an empty event: the host is there, and says nothing.
    case sign(AttemptID)
    case failed(AttemptFailure, AttemptID)
    case timePassed
    case abandon(Failure)
  }

  struct State {
    /// `nil` while an event is handled outside the lock.
    var run: InferenceRun?
    /// What happened meanwhile, in order.
    var waiting: ArraySlice<Event> = []
    /// `nil` means that it was not handed over yet.
    var upstream: [AttemptID: HTTPClient.Task<Void>?] = [:]
    var headers: [AttemptID: [PassedHeader]] = [:]
    var opening: Result<InferenceOpening, Failure>?
    var openWaiter: CheckedContinuation<Result<InferenceOpening?, Failure>, Never>?
    /// Counts waits, so that the timer of an earlier one ends no later one.
    var openWaits = 0
    var unread: [InferenceEvent] = []
    var unreadBytes = 0
    /// Reads of hosts' streams that go on when the client has read.
    var paused: [EventLoopPromise<Void>] = []
    /// When the client stopped reading; `nil` means that it reads.
    var pausedSince: Instant?
    /// Opened when the client stops reading for the first time.
    var account: MemoryAccount?
    var summary: InferenceSummary?
    /// `nil` means that more may come.
    var end: Result<Void, Failure>?
    var readWaiter: CheckedContinuation<Result<[InferenceEvent], Failure>, Never>?
    var timer: Scheduled<Void>?
    var timerWake: Instant?
    /// Requests in the words of a dialect, of bodies too large to be translated twice.
    var prepared: [PreparedKey: UpstreamRequest] = [:]

    var isFull: Bool { unreadBytes > Limits.streamPause.value }
  }

  static let left = Failure(.cancelled, "the client has left")

  let client: InferenceClient
  let request: InferenceRequest
  /// The client whose request it is; `nil` means that it is not known.
  let asker: ClientFingerprint?
  let pool: UpstreamConnections.Pool
  let state: Mutex<State>
  /// When the whole answer is due.
  let deadline: Instant

  /// Whether it takes long to translate the request, or to look who could answer it.
  var isLarge: Bool { request.body.count > Limits.heavyBytes.value }
  /// Whether it takes long to assemble the answer, or to ask another host to go on with it.
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

  /// Waits for the beginning of the answer; `nil` when it has not come within that time.
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

  /// Everything that came since; waits if that is nothing. Empty at the end.
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

  /// The client does not read any more: requests under way at hosts are cancelled.
  func leave() { step(.abandon(Self.left)) }

  // MARK: - The host's side

  func received(status: Int, _ headers: [PassedHeader], from id: AttemptID) {
    if !headers.isEmpty { state.withLock { $0.headers[id] = headers } }
    step(.head(status: status, id))
  }

  /// Headers of the answer of one attempt that are meant for the client.
  func headers(of id: AttemptID) -> [PassedHeader] { state.withLock { $0.headers[id] ?? [] } }

  /// - Returns: when the host's stream may be read further; `nil` means at once.
  func received(_ items: [UpstreamItem], from id: AttemptID) -> EventLoopFuture<Void>? {
    items.isEmpty ? nil : step(.items(items, id))
  }

  func receivedSign(from id: AttemptID) { step(.sign(id)) }

  /// The same for items so large that the machine takes long over them. Called on the thread for
  /// heavy work.
  func receivedOutside(_ items: [UpstreamItem], from id: AttemptID) -> EventLoopFuture<Void>? {
    items.isEmpty ? nil : stepOutside(.items(items, id))
  }

  func failed(_ failure: AttemptFailure, _ id: AttemptID) { step(.failed(failure, id)) }
}

extension Duration {
  /// A timer that fires a moment early would find nothing to do.
  var nanosecondsRoundedUp: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
  }
}

extension InferenceEvent {
  /// Bytes that it takes while the client has not read it: capacity, and the entry itself.
  var keptBytes: Int {
    switch self {
    case .chunk(let chunk):
      chunk.data.capacity + (chunk.facts.deltaJSON?.capacity ?? 0) + Self.entryBytes
    case .body(let body): body.capacity + Self.entryBytes
    case .finished: Self.entryBytes
    }
  }

  /// The event, the head of its array, and strings of a chunk's facts.
  private static let entryBytes = MemoryLayout<InferenceEvent>.stride + 256
}
