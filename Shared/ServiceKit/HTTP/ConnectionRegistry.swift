public import Access
import Limits
import Metrics
import NIOCore
import Overload
public import OverloadCore
import Synchronization

/// The connection of the request that a handler answers.
public struct ClientConnection: Sendable {
  public let client: ClientID
  let end: AnswerEnd
  /// `nil` in tests without a server.
  let channel: (any Channel)?
  /// Runs the handler on the connection's event loop. `nil` if handlers run elsewhere.
  var executor: LoopExecutor?
  let verifiedKey = VerifiedKey()

  /// The valid key of the current request. `nil` means that the request has none, or that its key is
  /// not checked yet.
  public var keyOfRequest: KeyID? { verifiedKey.ofRequest }

  /// Must be called before a request is answered, if `keyOfRequest` is used.
  public func forgetKeyOfRequest() { verifiedKey.ofRequest = nil }

  /// Closes the connection after the current answer. The client receives the close together with
  /// the last bytes, so that its pool does not keep the connection.
  public func closeAfterAnswer() { end.closesConnection.store(true, ordering: .relaxed) }

  /// Reads the body of the current request from the socket. A server with
  /// `HTTPServerOptions.holdsBodies` reads only the beginning of a large body before this call.
  public func readBody() { channel?.triggerUserOutboundEvent(ReadBody(), promise: nil) }

  /// Waits because the client gets too many answers. Meanwhile the connection makes room for other
  /// clients, as if its request were incomplete. Returns early if the Swift task is cancelled.
  public func delay(by time: Duration) async {
    guard time > .zero else { return }
    Counter(label: "tutti_http_delayed_total").increment()
    channel?.triggerUserOutboundEvent(AnswerDelay(begins: true), promise: nil)
    try? await Task.sleep(for: time)
    channel?.triggerUserOutboundEvent(AnswerDelay(begins: false), promise: nil)
  }

  /// Waits for a turn if more requests arrive at this event loop than it can begin at once. The
  /// turn's work is the handler's code after this call, up to the next suspension.
  /// - Parameter client: identifies the client when clients take turns.
  public func takeTurn(of client: @autoclosure () -> UInt64) async {
    guard let executor, let turns = RequestTurns.of(executor.loop), !turns.isFree else { return }
    let client = client()
    await withCheckedContinuation { task in
      turns.submit(for: client) { executor.resume(task) }
    }
  }

  /// Runs `work` once, on the connection's event loop, when the operating system has the last byte
  /// of the current answer. If the connection ends before, `work` is discarded.
  public func afterAnswer(_ work: @escaping @Sendable () -> Void) {
    end.work.withLock { $0 = work }
  }

  /// The connection of the request that is being answered; `nil` outside requests to a server of
  /// `makeHTTPServer`.
  @TaskLocal public static var current: ClientConnection?
}

/// Actions after the current answer of a connection.
final class AnswerEnd: Sendable {
  let closesConnection = Atomic(false)
  let work = Mutex<(@Sendable () -> Void)?>(nil)

  func takeWork() -> (@Sendable () -> Void)? { work.withLock { $0.take() } }
}

/// The connections of one server; the shell of `ConnectionTable`.
final class ConnectionRegistry: Sendable {
  private struct State {
    var table: ConnectionTable
    var channels: [ConnectionID: any Channel] = [:]
    /// Whether the server stops.
    var isQuiescing = false
  }

  private let state: Mutex<State>

  init(_ limits: ConnectionLimits) { state = Mutex(State(table: ConnectionTable(limits))) }

  var count: Int { state.withLock { $0.table.count } }

  /// Admits a connection, and asks another connection to close if there is no room.
  func open(_ channel: any Channel, of client: ClientID) -> ConnectionPlace {
    let (admission, evicted, isQuiescing) = state.withLock { state in
      let admission = state.table.open(client)
      state.channels[admission.id] = channel
      let evicted = admission.evicting.flatMap { state.channels.removeValue(forKey: $0.id) }
      return (admission, evicted, state.isQuiescing)
    }
    if isQuiescing { Self.quiesce(channel) }
    if let evicted, let eviction = admission.evicting { Self.evict(evicted, eviction) }
    var limit: Limit?
    if case .reserved(_, _, let reached) = admission { limit = reached }
    let place = ConnectionPlace(registry: self, id: admission.id, client: client, limit: limit)
    channel.closeFuture.whenComplete { _ in place.close() }
    return place
  }

  fileprivate func change(_ id: ConnectionID, to activity: ConnectionTable.Activity) {
    let evicted = state.withLock { state in
      state.table.change(id, to: activity).flatMap { eviction in
        state.channels.removeValue(forKey: eviction.id).map { ($0, eviction) }
      }
    }
    if let (channel, eviction) = evicted { Self.evict(channel, eviction) }
  }

  private static func evict(_ channel: any Channel, _ eviction: ConnectionTable.Eviction) {
    // The connection decides on its own event loop, because a request may have begun meanwhile.
    channel.triggerUserOutboundEvent(
      MakeRoom(isIncompleteToo: eviction.activity == .receiving), promise: nil)
  }

  fileprivate func reinstate(
    _ id: ConnectionID, _ client: ClientID, _ activity: ConnectionTable.Activity,
    _ channel: any Channel
  ) {
    let isQuiescing = state.withLock { state in
      state.table.reinstate(id, of: client, activity)
      state.channels[id] = channel
      return state.isQuiescing
    }
    if isQuiescing { Self.quiesce(channel) }
  }

  /// Asks all connections to close: those without a request now, the others after their answers.
  func quiesce() {
    let channels = state.withLock { state in
      state.isQuiescing = true
      return Array(state.channels.values)
    }
    for channel in channels { Self.quiesce(channel) }
  }

  private static func quiesce(_ channel: any Channel) {
    // The event is sent in a later turn of the loop, because the channel's pipeline may not be
    // complete yet.
    channel.eventLoop.execute {
      channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
    }
  }

  fileprivate func close(_ id: ConnectionID) {
    state.withLock { state in
      state.table.close(id)
      state.channels[id] = nil
    }
  }
}

/// Event sent down a pipeline: the application reads the body of the current request.
struct ReadBody: Sendable {}

/// Event sent down a pipeline: the delay of the current answer begins or ends.
struct AnswerDelay: Sendable {
  let begins: Bool
}

/// Event sent down a pipeline: the connection should close to make room for another one.
struct MakeRoom: Sendable {
  /// Whether the connection closes even if a request has arrived in part.
  let isIncompleteToo: Bool
}

/// The entry of one connection in its server's registry, for the connection's guard.
struct ConnectionPlace: Sendable {
  let registry: ConnectionRegistry
  let id: ConnectionID
  let client: ClientID
  /// The limit that restricts this connection to health and metrics; `nil` means no restriction.
  let limit: Limit?

  func change(to activity: ConnectionTable.Activity) { registry.change(id, to: activity) }

  func reinstate(_ activity: ConnectionTable.Activity, _ channel: any Channel) {
    registry.reinstate(id, client, activity, channel)
  }

  func close() { registry.close(id) }

  static func recordEviction() { Counter(label: "tutti_http_evicted_total").increment() }
}
