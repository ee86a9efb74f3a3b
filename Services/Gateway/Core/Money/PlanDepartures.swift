public import ClusterModel

/// One dispatch of a plan. Both dispatches of a plan may go to the same process.
public struct PlanDispatch: Hashable, Sendable {
  let dispatcher: PeerID
  /// From 1.
  let number: Int

  public init(dispatcher: PeerID, number: Int) {
    self.dispatcher = dispatcher
    self.number = number
  }
}

/// Plans from their start until they are settled and recorded.
///
/// A gateway that cancels a plan settles it with the tokens of the tasks that ran then. The plan's
/// dispatcher sends them at once. Without them, the plan is settled after `patience` with the
/// tokens that the gateway knows.
public struct PlanDepartures: Sendable {
  /// Maximum wait for a dispatcher's message, which needs some milliseconds. The plan's hold of
  /// money, and the client's place for a plan, are in use for this time.
  static let patience = Duration.seconds(1)
  /// Maximum dispatches of a plan whose messages are kept.
  private static let mostDispatches = 2

  private struct Departure: Sendable {
    let dispatch: PlanDispatch
    let deadline: Instant
  }

  private struct Entry: Sendable {
    /// Messages that arrived before the gateway had finished its own work on the plan.
    var costs: [PlanDispatch: PlanCosts] = [:]
    /// `nil` means that the plan still runs.
    var departure: Departure?
  }

  private var entries: [TraceID: Entry] = [:]

  public init() {}

  /// Whether no plan runs or waits for its settlement.
  public var isEmpty: Bool { entries.isEmpty }

  /// Records that a plan starts.
  public mutating func begin(_ trace: TraceID) { entries[trace] = Entry() }

  /// Records that a plan is settled without its dispatcher's message.
  public mutating func end(_ trace: TraceID) { entries[trace] = nil }

  /// Records that the gateway has cancelled a plan.
  /// - Parameter dispatch: the plan's last dispatch.
  /// - Returns: the tokens with which the plan is settled now. `nil` means that the gateway waits.
  public mutating func leave(
    _ trace: TraceID, _ dispatch: PlanDispatch, now: Instant
  ) -> PlanCosts? {
    if let costs = entries[trace]?.costs[dispatch] {
      entries[trace] = nil
      return costs
    }
    entries[trace] = Entry(
      departure: Departure(dispatch: dispatch, deadline: now.advanced(by: Self.patience)))
    return nil
  }

  /// Records a dispatcher's message.
  /// - Returns: whether the plan is settled now.
  public mutating func receive(_ costs: PlanCosts, from dispatcher: PeerID) -> Bool {
    guard let entry = entries[costs.trace] else { return false }
    let dispatch = PlanDispatch(dispatcher: dispatcher, number: costs.dispatch)
    guard let departure = entry.departure else {
      if entry.costs.count < Self.mostDispatches {
        entries[costs.trace]?.costs[dispatch] = costs
      }
      return false
    }
    // The dispatcher of an earlier dispatch may have been lost, and its tasks ran again.
    guard departure.dispatch == dispatch else { return false }
    entries[costs.trace] = nil
    return true
  }

  /// - Returns: the plans that are settled now, because their dispatchers sent nothing.
  public mutating func expire(now: Instant) -> [TraceID] {
    take { $0.deadline <= now }
  }

  /// - Returns: all plans that wait for their dispatchers. They are settled now.
  public mutating func endAll() -> [TraceID] {
    take { _ in true }
  }

  private mutating func take(_ isDue: (Departure) -> Bool) -> [TraceID] {
    let due = entries.filter { $0.value.departure.map(isDue) ?? false }.map(\.key)
    for trace in due { entries[trace] = nil }
    return due
  }
}
