public import ClusterModel

/// Back pressure: a client that does not read also stops the reading of the host's stream. The host
/// is not at fault for the silence that follows.
extension InferenceRun {
  /// The host's stream is no longer read. Only the deadline of the whole answer still runs.
  public mutating func readingPaused(now: Instant) {
    if pausedSince == nil { pausedSince = now }
  }

  /// The host's stream is read again. The pause counts neither as silence nor in the host's pace.
  public mutating func readingResumed(now: Instant) {
    guard let since = pausedSince else { return }
    pausedSince = nil
    guard case .answering = phase, !legs.isEmpty else { return }
    let pause = since.duration(to: now)
    legs[0].shift(by: pause)
    for index in legs.indices { legs[index].postponeCheck(by: pause) }
    answer?.lastChunk = now
    answer?.pace.restart(now)
  }
}
