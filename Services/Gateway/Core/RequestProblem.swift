public import ClusterModel
import Limits

/// What is wrong with a client's request, and with which of its members.
public struct RequestProblem: Error, Hashable, Sendable {
  public var failure: Failure
  /// For example `messages[3].role` or `tutti.rounds`; nil: the request as a whole.
  public var param: String? { failure.param }

  /// - Parameters: what is quoted of a request may be as long as the request; the rest is cut.
  public init(_ code: Failure.Code, _ message: String, param: String? = nil) {
    failure = Failure(
      code, message.cut(toBytes: Limits.errorMessageBytes.value),
      param: param?.cut(toBytes: Limits.errorNameBytes.value))
  }

  static func invalid(_ param: String, _ message: String) -> RequestProblem {
    let param = param.cut(toBytes: Limits.errorNameBytes.value)
    return RequestProblem(.invalidRequest, "`\(param)` \(message)", param: param)
  }

  /// One problem that lists the first of them; the first one names the member.
  static func all(_ problems: [RequestProblem]) -> RequestProblem? {
    guard var first = problems.first else { return nil }
    let told = problems.prefix(Limits.errorProblems.value)
    let rest = problems.count > told.count ? "; and more" : ""
    let most = Limits.errorMessageBytes.value - rest.utf8.count
    first.failure.message =
      told.map(\.failure.message).joined(separator: "; ").cut(toBytes: most) + rest
    return first
  }
}
