import ClusterModel

/// Comments and pings of a host that says nothing are no answer, and no silence either: each renews
/// the patience for silence, up to a longer deadline of their own.
extension InferenceRun {
  /// When the host is given up unless its first token comes.
  func firstTokenDue(_ leg: Attempt) -> Instant {
    due(
      after: leg.started, leg.patience.firstToken, leg,
      isOwn: constraints.deadlines.firstToken != nil)
  }

  /// When the host is given up unless its next chunk comes.
  func nextChunkDue(_ answer: Answer, _ leg: Attempt) -> Instant {
    due(
      after: answer.lastChunk, silencePatience(answer, leg), leg,
      isOwn: constraints.deadlines.interToken != nil || answer.isFinished)
  }

  /// - Parameter isOwn: the patience is the client's own, or of an answer that is whole: signs do not
  ///   renew it.
  private func due(
    after last: Instant, _ patience: Duration, _ leg: Attempt, isOwn: Bool
  ) -> Instant {
    guard !isOwn, let sign = leg.lastSign, last < sign else { return last.advanced(by: patience) }
    return min(
      sign.advanced(by: patience), last.advanced(by: patience * limits.signPatience))
  }
}
