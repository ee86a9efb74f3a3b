public import ClusterModel

/// A client that does not read stops the host's stream from being read. The host is not to blame
/// for the silence that follows.
extension InferenceRun {
  /// The host's stream is not read from now on. Only the deadline of the whole answer goes on.
  public mutating func readingPaused(now: Instant) {
    if pausedSince == nil { pausedSince = now }
  }

  /// The host's stream is read again: the pause counts neither as its silence nor as its pace.
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
  /// Moves what is known of its pace past a pause.
  mutating func shift(by pause: Duration) {
    firstToken = firstToken?.advanced(by: pause)
    lastToken = lastToken?.advanced(by: pause)
  }
}

extension Pace {
  /// Begins a new window.
  mutating func restart(_ now: Instant) { self = Pace(floor: floor, from: now) }
}
