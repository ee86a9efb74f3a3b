/// Tokens of one inference of a task, and the attempts that led to its answer.
///
/// The hosts of each inference are paid as the hosts of a direct answer.
public struct TaskInference: Hashable, Sendable {
  public var model: ModelID
  /// Tokens of the answer: the prompt once, and the completion tokens that the task received.
  public var usage: Usage
  /// The attempts in the order in which they ended.
  public var attempts: [PaidAttempt]

  public init(model: ModelID, usage: Usage, attempts: [PaidAttempt]) {
    self.model = model
    self.usage = usage
    self.attempts = attempts
  }

  /// Bytes of the inference in memory.
  public var keptBytes: Int {
    attempts.reduce(MemoryLayout<TaskInference>.stride + model.name.utf8.count) {
      $0 + MemoryLayout<PaidAttempt>.stride + $1.host.name.utf8.count + $1.model.name.utf8.count
    }
  }
}

/// The facts of one attempt that determine the pay of its host.
public struct PaidAttempt: Hashable, Sendable {
  public enum Outcome: String, CaseIterable, Sendable {
    /// The host wrote the end of the answer, or wrote until the reader of the answer left.
    case delivered
    /// The host took part in a race, and another host was faster.
    case beaten
    /// The attempt failed, for example because the host broke off or stalled.
    case failed
  }

  public var host: HostID
  /// The host's own name of the model, or the name that clients use if only that is known.
  public var model: ModelID
  public var tier: HostTier
  /// Completion tokens that the host made, including tokens that are not part of the answer.
  public var tokens: Int
  public var outcome: Outcome

  public init(
    host: HostID, model: ModelID, tier: HostTier = .community, tokens: Int, outcome: Outcome
  ) {
    self.host = host
    self.model = model
    self.tier = tier
    self.tokens = tokens
    self.outcome = outcome
  }

  /// Whether the attempt counts as part of the answer: it has tokens and was not beaten.
  public var isInAnswer: Bool { tokens > 0 && outcome != .beaten }
}

extension TaskReport {
  /// Bytes of the output and of the inferences in memory.
  public var keptBytes: Int { inferences.reduce(output.utf8.count) { $0 + $1.keptBytes } }
}
