import ClusterModel

/// Attempts of agents at one task.
///
/// Counts the attempts, records since when an agent is sought, and computes when the next attempt
/// may start. Only lost and overloaded agents are replaced, because `infer()` already retries
/// hosts.
struct TaskAttempts: Equatable, Sendable {
  /// Number of the latest attempt; 0 means none.
  private(set) var number = 0
  /// Name of the latest agent. Empty if the task never had one.
  private(set) var agent = ""
  /// Agents that lost or refused the task.
  private(set) var avoiding: [PeerID] = []
  /// Model of the latest attempt whose host began to answer. Empty if no host did.
  private(set) var model = ModelID("")
  /// Bytes that the latest attempt wrote.
  private(set) var writtenBytes = 0
  /// Output of the latest attempt so far, if it may substitute for the task's output.
  private(set) var partial = WrittenText()
  /// Start of the current search for an agent. `nil` means that no search is under way.
  private var seekingSince: Instant?

  /// Starts the first attempt, or the next one after `retry`.
  mutating func launch() {
    number = max(number, 1)
    writtenBytes = 0
  }

  mutating func assign(to agent: PeerID) {
    self.agent = agent.name
    seekingSince = nil
  }

  mutating func begin(with model: ModelID) { self.model = model }

  mutating func countWritten(_ bytes: Int) { writtenBytes += bytes }

  /// Keeps a delta of an output that may substitute for the task's output.
  /// - Parameter room: maximum bytes to keep of the delta's text.
  mutating func keep(_ delta: TaskDelta, room: Int) { partial.append(delta, room: room) }

  mutating func replacePartial(with text: String) {
    partial = WrittenText(text, hasStructure: partial.hasStructure)
  }

  mutating func discardPartial() { partial = WrittenText() }

  /// Returns the time of the next search for an agent.
  /// `nil` means that no agent appeared within `agentWait`.
  mutating func nextSearch(now: Instant, limits: PlanRunLimits) -> Instant? {
    let since = seekingSince ?? now
    seekingSince = since
    guard since.duration(to: now) < limits.agentWait else { return nil }
    return now.advanced(by: limits.seekInterval)
  }

  /// Gives up the attempt with its partial output, and counts the next attempt.
  /// - Parameters:
  ///   - agent: the agent of the attempt. `nil` means that it had none.
  ///   - retryAfter: the delay that an overloaded agent or busy hosts ask for.
  /// - Returns: the delay before the next attempt. `nil` means that all attempts are used.
  mutating func retry(
    after loss: AgentLoss, of agent: PeerID?, retryAfter: Duration?, limits: PlanRunLimits
  ) -> Duration? {
    guard number < limits.attempts else { return nil }
    if let agent, loss != .hostsBusy { avoiding.append(agent) }
    partial = WrittenText()
    let delay =
      switch loss {
      case .lost: limits.lostDelay * number
      case .overloaded, .hostsBusy:
        max(.zero, min(limits.longestDelay, retryAfter ?? limits.overloadDelay * number))
      }
    number += 1
    return delay
  }
}
