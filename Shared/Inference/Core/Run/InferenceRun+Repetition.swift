import ClusterModel

extension InferenceRun {
  /// Whether the answer of this host ends if the host repeats itself without end.
  ///
  /// JSON is not watched, because a list of equal values is valid there. An answer with several
  /// choices is not watched, because the other choices may be good.
  func watchesRepetition(of host: Host) -> Bool {
    guard request.endpoint != .embeddings, shape.choices == 1, !shape.wantsJSON else {
      return false
    }
    return limits.repetition.includes(host)
  }
}
