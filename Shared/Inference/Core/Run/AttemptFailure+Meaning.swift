import ClusterModel

/// Questions about a failure that decide what a run does next.
extension AttemptFailure {
  /// Whether the same host may succeed if asked again. It was reached, and reported neither
  /// overload nor a bad request.
  var mayBeChance: Bool {
    switch kind {
    case .lostBeforeHead, .lost, .cut, .garbage, .errorEvent, .stall, .crawl: true
    // A sampling model produces other text the next time.
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

  /// Whether the host answered 500 or 501, for which the request itself may be the reason. Also
  /// true if the host was then asked again without an addition.
  var isServerError: Bool {
    (kind == .status || kind == .formRefused) && (status == 500 || status == 501)
  }

  /// The host refused the request, or refused access, with a 4xx status.
  var isRefusal: Bool {
    // A rejection without a status comes from Tutti: the host was not asked.
    (kind == .rejected || kind == .status) && (400..<500).contains(status ?? 0)
  }

  /// The host was not reached, or not asked.
  var isUnasked: Bool {
    switch kind {
    case .connect, .lostBeforeHead, .noSecret, .unsuited: true
    default: false
    }
  }

  /// The host's refusal for the client; `nil` if no host answered with a status.
  var forClient: HostRefusal? {
    refusal?.forClient ?? status.map { HostRefusal(status: $0) }
  }

  /// This failure as a refusal of an addition.
  var ofForm: AttemptFailure {
    var failure = self
    failure.kind = .formRefused
    return failure
  }
}

extension AttemptFailure.Kind {
  /// Whether the host was too slow, and might have answered if the wait had been longer.
  var isLateness: Bool { self == .firstTokenDeadline || self == .stall || self == .crawl }
}
