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
    for index in legs.indices { legs[index].lookAt = legs[index].lookAt.advanced(by: pause) }
    answer?.lastChunk = now
    answer?.pace.restart(now)
  }
}

extension InferenceRun.Attempt {
  /// Moves the measured times of the attempt past a pause.
  mutating func shift(by pause: Duration) {
    firstToken = firstToken?.advanced(by: pause)
    lastToken = lastToken?.advanced(by: pause)
  }
}
