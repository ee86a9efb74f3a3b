import ClusterModel

/// Properties of a failure that decide what a run does next.
extension AttemptFailure {
  /// Whether the failure may be chance, so that the same host may succeed if it is asked again.
  /// Overload, a refused request and a late first token are not chance.
  var mayBeChance: Bool {
    switch kind {
    case .lostBeforeHead, .lost, .cut, .garbage, .errorEvent, .stall, .crawl: true
    // A model that samples produces other text the next time.
    case .badJoint: true
    case .status: (status ?? 0) >= 500
    case .connect, .busy, .rejected, .formRefused, .contextTooSmall, .firstTokenDeadline,
      .totalDeadline,
      .tooLarge, .unsuited,
      .noSecret, .consumerLeft:
      false
    }
  }

  /// Whether the same host may succeed if asked again after some seconds.
  var mayPass: Bool { mayBeChance && kind != .badJoint || kind == .busy || kind == .connect }

  /// Whether the host answered 500 or 501, which the request itself may have caused.
  ///
  /// Also `true` if the failure was recorded as the refusal of an addition (`ofForm`).
  var isServerError: Bool {
    (kind == .status || kind == .formRefused) && (status == 500 || status == 501)
  }

  /// Whether the host refused the request, or access, with a 4xx status.
  var isRefusal: Bool {
    // A rejection without a status comes from Tutti, which then did not ask the host.
    (kind == .rejected || kind == .status) && (400..<500).contains(status ?? 0)
  }

  /// Whether the host was not asked, was not reached, or closed the connection before it answered.
  var isUnasked: Bool {
    switch kind {
    case .connect, .lostBeforeHead, .noSecret, .unsuited: true
    default: false
    }
  }

  /// The host's refusal for the client. `nil` means that the host sent no status.
  var forClient: HostRefusal? {
    refusal?.forClient ?? status.map { HostRefusal(status: $0) }
  }

  /// This failure, recorded as the refusal of an addition by Tutti.
  var ofForm: AttemptFailure {
    var failure = self
    failure.kind = .formRefused
    return failure
  }
}

extension AttemptFailure.Kind {
  /// Whether the host was too slow. It might have answered after a longer wait.
  var isLateness: Bool { self == .firstTokenDeadline || self == .stall || self == .crawl }
}
