import ClusterModel

/// Deadlines of hosts that send comments or pings before or between chunks. Each such sign renews
/// the patience for silence, up to a longer deadline (`signPatience`).
extension InferenceRun {
  /// Deadline for the first token of an attempt.
  func firstTokenDue(_ leg: Attempt) -> Instant {
    due(
      after: leg.started, leg.patience.firstToken, leg,
      isOwn: constraints.deadlines.firstToken != nil)
  }

  /// Deadline for the next chunk of the answering attempt.
  func nextChunkDue(_ answer: Answer, _ leg: Attempt) -> Instant {
    due(
      after: answer.lastChunk, silencePatience(answer, leg), leg,
      isOwn: constraints.deadlines.interToken != nil || answer.isFinished)
  }

  /// - Parameter isOwn: The patience is set by the client, or applies to a complete answer. Signs
  ///   do not renew it.
  private func due(
    after last: Instant, _ patience: Duration, _ leg: Attempt, isOwn: Bool
  ) -> Instant {
    guard !isOwn, let sign = leg.lastSign, last < sign else { return last.advanced(by: patience) }
    return min(
      sign.advanced(by: patience), last.advanced(by: patience * limits.signPatience))
  }
}
