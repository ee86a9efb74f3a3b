public import NIOCore
import NIOPosix
import OverloadCore
import Synchronization

/// Work of one event loop that is done in turns, so that the loop serves its sockets between them.
///
/// An event loop runs all tasks submitted to it, and those that they submit, before it reads a
/// socket again. Work that a client can multiply therefore goes through here: it runs for about
/// `longestTurn`, and then the loop is free for at least as long. Clients take turns too.
public final class LoopTurns: Sendable {
  private struct State {
    var queue = FairQueue<UInt64, UInt64>(limit: 1)
    var work: [UInt64: @Sendable () -> Void] = [:]
    var last: UInt64 = 0
    /// The work to run next.
    var next: UInt64?
    /// Whether a turn runs or is scheduled.
    var isBusy = false
    /// The next turn begins at this time or later.
    var freeUntil = NIODeadline.uptimeNanoseconds(0)
  }

  /// A turn ends with the first work that is complete after this time.
  static let longestTurn = TimeAmount.milliseconds(1)
  /// Long enough that the loop finds no due task, and reads its sockets.
  static let shortestPause = TimeAmount.microseconds(100)

  private static let all = Dictionary(
    uniqueKeysWithValues: MultiThreadedEventLoopGroup.singleton.makeIterator().map { loop in
      (ObjectIdentifier(loop), LoopTurns(loop) { loop.now })
    })

  private let loop: any EventLoop
  private let now: @Sendable () -> NIODeadline
  private let state = Mutex(State())

  /// - Parameter now: The clock that measures the work.
  init(_ loop: any EventLoop, now: @escaping @Sendable () -> NIODeadline) {
    self.loop = loop
    self.now = now
  }

  /// The turns of an event loop of the process; an event loop of a test has turns of its own.
  public static func of(_ loop: any EventLoop) -> LoopTurns {
    all[ObjectIdentifier(loop)] ?? LoopTurns(loop) { loop.now }
  }

  /// Number of submitted pieces of work that have not begun.
  public var waitingCount: Int { state.withLock(\.work.count) }

  /// Runs the work on the event loop; at once, if called there while nothing waits.
  ///
  /// - Parameter client: Whose work this is. Clients with waiting work take turns.
  public func submit(for client: UInt64, _ work: @escaping @Sendable () -> Void) {
    let now = now()
    let (runs, begin) = state.withLock { state -> (Bool, NIODeadline?) in
      state.last += 1
      state.work[state.last] = work
      if let first = state.queue.join(state.last, client: client).first { state.next = first }
      guard !state.isBusy else { return (false, nil) }
      state.isBusy = true
      return loop.inEventLoop && now >= state.freeUntil
        ? (true, nil) : (false, max(state.freeUntil, now + Self.shortestPause))
    }
    if runs { turn() }
    if let begin { loop.scheduleTask(deadline: begin) { self.turn() } }
  }

  private func turn() {
    let began = now()
    var end = began
    repeat {
      guard let work = take() else { break }
      work()
      end = now()
    } while end - began < Self.longestTurn
    let begin = state.withLock { state -> NIODeadline? in
      state.freeUntil = end + max(end - began, Self.shortestPause)
      state.isBusy = state.next != nil
      return state.isBusy ? state.freeUntil : nil
    }
    if let begin { loop.scheduleTask(deadline: begin) { self.turn() } }
  }

  private func take() -> (@Sendable () -> Void)? {
    state.withLock { state in
      guard let ticket = state.next else { return nil }
      state.next = state.queue.end().first
      return state.work.removeValue(forKey: ticket)
    }
  }
}
