import BusCore
import ClusterModel

extension BusDirective {
  func isOutcome(of id: UInt64) -> Bool {
    switch self {
    case .resolve(id, _), .ended(id, _): true
    default: false
    }
  }

  func sends(_ shape: Envelope.Shape, about id: UInt64? = nil) -> Bool {
    guard case .send(let envelope, _, _) = self, envelope.shape == shape else { return false }
    return id == nil || envelope.correlationID == id
  }

  var sendsHello: Bool {
    guard case .send(let envelope, _, _) = self, case .hello = envelope.body else { return false }
    return true
  }

  func starts(_ key: RequestKey) -> Bool {
    switch self {
    case .startCall(key, _), .startStream(key, _): true
    default: false
    }
  }
}

extension [BusDirective] {
  /// The failure of a request that this process sent; `nil` if it did not fail.
  func failure(of id: UInt64) -> Failure? {
    for directive in self {
      switch directive {
      case .resolve(id, .failure(let failure)): return failure
      case .ended(id, let failure?): return failure
      default: continue
      }
    }
    return nil
  }

  /// The error with which a handler was cancelled.
  func cancelled(_ key: RequestKey) -> Failure? {
    for case .cancelHandler(key, let failure) in self { return failure }
    return nil
  }

  /// The failure that was sent in reply to a request.
  var sentFailure: Failure? {
    for case .send(let envelope, _, _) in self {
      if case .failure(let failure) = envelope.body { return failure }
    }
    return nil
  }
}
