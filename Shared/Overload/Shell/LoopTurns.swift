public import NIOCore
import NIOPosix
import OverloadCore
import Synchronization

/// Work of one event loop that is done in turns, so that the loop serves its sockets between turns.
///
/// An event loop first runs all submitted closures, and the closures that these submit, before it
/// reads a socket again. A client could thereby keep the loop busy. Work that a client can multiply
/// is therefore submitted to `LoopTurns`. Such work runs for about `longestTurn`, and then the loop
/// is free for at least as long. Clients take turns, too.
public final class LoopTurns: Sendable {
  private struct State {
    var queue = FairQueue<UInt64, UInt64>(limit: 1)
    var work: [UInt64: @Sendable () -> Void] = [:]
    var last: UInt64 = 0
    /// Ticket of the work to run next. `nil` means that none waits.
    var next: UInt64?
    /// Whether a turn runs or is scheduled.
    var isBusy = false
    /// Earliest time at which the next turn may begin.
    var freeUntil = NIODeadline.uptimeNanoseconds(0)
    var pause = shortestPause
  }

  /// A turn ends with the first work that is complete after this time.
  static let longestTurn = TimeAmount.milliseconds(1)
  /// Maximum time of a turn that counts for the pause after it. The pause is at least as long as
  /// the counted time.
  static let longestWork = TimeAmount.milliseconds(50)
  /// Shortest pause. It is long enough that the loop finds no due work and reads its sockets.
  static let shortestPause = TimeAmount.microseconds(100)
  /// Maximum delay of a turn on a loop without much other work. If a turn begins later than this,
  /// the next pause is doubled. Otherwise it is halved.
  static let busyLateness = TimeAmount.microseconds(500)

  /// Longest pause for streams. They get about a ninth of the time of a busy loop.
  private static let streamPause = TimeAmount.milliseconds(8)
  /// Longest pause for new connections. They get about a third of the time of a busy loop.
  private static let connectionPause = TimeAmount.milliseconds(2)
  /// Pause between two reads of bytes to discard. With `Limits.readBytes` per read, a loop discards
  /// 32 MB per second for all clients. More reads would take time from requests, and the error has
  /// already been sent. A client that sends more before it reads the error does not receive the
  /// error, because its connection closes soon (`HTTPRequestLimits.linger`).
  private static let discardPause = TimeAmount.microseconds(500)

  private static let streams = perLoop { LoopTurns($0, longestPause: streamPause) }
  private static let connections = perLoop { LoopTurns($0, longestPause: connectionPause) }
  private static let discards = perLoop { makeDiscards($0) }

  /// Makes a value for each event loop of the singleton group.
  static func perLoop<Value>(_ make: (any EventLoop) -> Value) -> [ObjectIdentifier: Value] {
    Dictionary(
      uniqueKeysWithValues: MultiThreadedEventLoopGroup.singleton.makeIterator().map { loop in
        (ObjectIdentifier(loop), make(loop))
      })
  }

  private let loop: any EventLoop
  private let longestTurn: TimeAmount
  private let shortestPause: TimeAmount
  private let longestPause: TimeAmount
  private let now: @Sendable () -> NIODeadline
  private let state = Mutex(State())

  /// - Parameters:
  ///   - longestTurn: a turn ends with the first work that is complete after this time.
  ///   - shortestPause: minimum pause between two turns.
  ///   - longestPause: maximum pause between two turns of a busy loop. A pause after long work may
  ///     be longer.
  ///   - now: returns the time of the clock that measures the work.
  init(
    _ loop: any EventLoop, longestTurn: TimeAmount = longestTurn,
    shortestPause: TimeAmount = shortestPause, longestPause: TimeAmount,
    now: @escaping @Sendable () -> NIODeadline
  ) {
    self.loop = loop
    self.longestTurn = longestTurn
    self.shortestPause = shortestPause
    self.longestPause = longestPause
    self.now = now
  }

  convenience init(_ loop: any EventLoop, longestPause: TimeAmount) {
    self.init(loop, longestPause: longestPause) { loop.now }
  }

  private static func makeDiscards(_ loop: any EventLoop) -> LoopTurns {
    LoopTurns(
      loop, longestTurn: .zero, shortestPause: discardPause, longestPause: discardPause
    ) { loop.now }
  }

  /// The turns in which the loop reads further slices of streams.
  ///
  /// For an event loop outside the singleton group, each call makes new turns. Their first work has
  /// no pause to wait for.
  public static func streams(of loop: any EventLoop) -> LoopTurns {
    streams[ObjectIdentifier(loop)] ?? LoopTurns(loop, longestPause: streamPause)
  }

  /// The turns for new connections. Streams do not delay new connections.
  public static func connections(of loop: any EventLoop) -> LoopTurns {
    connections[ObjectIdentifier(loop)] ?? LoopTurns(loop, longestPause: connectionPause)
  }

  /// The turns in which the loop reads bytes to discard, such as the body of a refused request.
  /// Each turn has one read.
  public static func discards(of loop: any EventLoop) -> LoopTurns {
    discards[ObjectIdentifier(loop)] ?? makeDiscards(loop)
  }

  /// Number of submitted pieces of work that have not begun.
  var waitingCount: Int { state.withLock(\.work.count) }

  /// Runs the work on the event loop. The work runs before this call returns if the caller is on
  /// the loop, no other work runs or waits, and the last pause is over.
  ///
  /// - Parameters:
  ///   - client: the client that caused the work. Clients with waiting work take turns.
  ///   - mayRunNow: whether the work may run before this call returns.
  public func submit(
    for client: UInt64, mayRunNow: Bool = true, _ work: @escaping @Sendable () -> Void
  ) {
    let now = now()
    let (runs, begin) = state.withLock { state -> (Bool, NIODeadline?) in
      state.last += 1
      state.work[state.last] = work
      if let first = state.queue.join(state.last, client: client).first { state.next = first }
      guard !state.isBusy else { return (false, nil) }
      state.isBusy = true
      return mayRunNow && loop.inEventLoop && now >= state.freeUntil
        ? (true, nil) : (false, max(state.freeUntil, now + shortestPause))
    }
    if runs { turn(due: now) }
    if let begin { schedule(begin) }
  }

  private func schedule(_ due: NIODeadline) {
    loop.scheduleTask(deadline: due) { self.turn(due: due) }
  }

  private func turn(due: NIODeadline) {
    let began = now()
    var end = began
    repeat {
      guard let work = take() else { break }
      work()
      end = now()
    } while end - began < longestTurn
    let begin = state.withLock { state -> NIODeadline? in
      let isLate = began - due > Self.busyLateness
      state.pause = isLate ? state.pause * 2 : .nanoseconds(state.pause.nanoseconds / 2)
      // The time is capped, because a process that was stopped for a while did not work all that
      // time.
      let worked = min(end - began, Self.longestWork)
      state.pause = max(min(state.pause, longestPause), worked, shortestPause)
      state.freeUntil = end + state.pause
      state.isBusy = state.next != nil
      return state.isBusy ? state.freeUntil : nil
    }
    if let begin { schedule(begin) }
  }

  private func take() -> (@Sendable () -> Void)? {
    state.withLock { state in
      guard let ticket = state.next else { return nil }
      state.next = state.queue.end().first
      return state.work.removeValue(forKey: ticket)
    }
  }
}
