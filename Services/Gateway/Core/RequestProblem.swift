public import ClusterModel

/// What is wrong with a client's request, and with which of its members.
public struct RequestProblem: Error, Hashable, Sendable {
  public var failure: Failure
  /// For example `messages[3].role` or `tutti.rounds`; nil: the request as a whole.
  public var param: String? { failure.param }

  public init(_ code: Failure.Code, _ message: String, param: String? = nil) {
    failure = Failure(code, message, param: param)
  }

  static func invalid(_ param: String, _ message: String) -> RequestProblem {
    RequestProblem(.invalidRequest, "`\(param)` \(message)", param: param)
  }

  /// One problem that tells all of them; the first names the member.
  static func all(_ problems: [RequestProblem]) -> RequestProblem? {
    guard var first = problems.first else { return nil }
    first.failure.message = problems.map(\.failure.message).joined(separator: "; ")
    return first
  }
}
