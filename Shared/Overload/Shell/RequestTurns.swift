public import NIOCore

/// Decides when requests begin on one event loop.
///
/// A few requests begin as they arrive. If more arrive, they begin in turns (`LoopTurns`), and their
/// clients take turns. A burst of one client then delays a request of another client by few turns.
public final class RequestTurns: Sendable {
  /// Requests in a row that need no turn.
  private static let freeRequests = 16
  /// Average pause between requests that need no turn. A loop serves at most some two requests per
  /// millisecond.
  private static let freePause = Duration.milliseconds(2)
  /// Longest pause between two turns of a busy loop. Requests get about a third of its time.
  private static let longestPause = TimeAmount.milliseconds(2)

  private static let perLoop = LoopTurns.perLoop { RequestTurns($0) }

  private let turns: LoopTurns
  private let free: RateGate

  convenience init(_ loop: any EventLoop) {
    self.init(LoopTurns(loop, longestPause: Self.longestPause))
  }

  init(_ turns: LoopTurns, freeRequests: Int = freeRequests) {
    self.turns = turns
    free = RateGate(every: Self.freePause, burst: freeRequests)
  }

  /// The turns of an event loop of the singleton group. `nil` for another loop: its requests need no
  /// turns.
  public static func of(_ loop: any EventLoop) -> RequestTurns? { perLoop[ObjectIdentifier(loop)] }

  /// Whether a request may begin now. If not, the caller passes its work to `submit`.
  public var isFree: Bool { isFree(at: .now) }

  func isFree(at now: ContinuousClock.Instant) -> Bool {
    turns.waitingCount == 0 && free.pass(at: now) != nil
  }

  /// Runs the work in the client's turn, on the event loop, after this call returns.
  public func submit(for client: UInt64, _ work: @escaping @Sendable () -> Void) {
    turns.submit(for: client, mayRunNow: false, work)
  }
}
