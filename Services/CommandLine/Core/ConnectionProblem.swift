public import ClusterModel

/// Why a request to a service got no answer, or only a part of it.
public enum ConnectionProblem: CaseIterable, Hashable, Sendable {
  case refused
  case timedOut
  case unknownName
  case unreachable
  /// No encrypted connection could be made.
  case encryption
  case closedEarly
  case tooLong
  case other

  /// A clause for a message that has the address, for example in parentheses.
  public var sentence: String {
    switch self {
    case .refused: "nothing listens there"
    case .timedOut: "no answer in time"
    case .unknownName: "its name cannot be resolved"
    case .unreachable: "it cannot be reached"
    case .encryption: "no encrypted connection: its certificate is not accepted"
    case .closedEarly: "the server closed the connection early"
    case .tooLong: "the answer is too long"
    case .other: "the connection broke"
    }
  }

  /// The failure of a command whose request got no answer from `url`.
  public func failure(at url: String) -> ProcessFailure {
    switch self {
    case .refused, .closedEarly, .tooLong, .other:
      ProcessFailure(
        .unavailable, "no service answers at \(url) (\(sentence)); start a cluster with `tutti up`")
    case .timedOut:
      ProcessFailure(.tryLater, "\(url) did not answer in time; look at `tutti status`")
    case .unknownName, .unreachable:
      ProcessFailure(
        .unavailable,
        "no service answers at \(url) (\(sentence)); check the address after --url or in TUTTI_URL")
    case .encryption:
      ProcessFailure(
        .unavailable,
        "no service answers at \(url) (\(sentence)); check that it serves https, and that its "
          + "certificate is valid for this name")
    }
  }
}
