public import ClusterModel
import Limits

/// A mistake in a client's request, and the member that contains it.
public struct RequestProblem: Error, Hashable, Sendable {
  public var failure: Failure
  /// The member, for example `messages[3].role` or `tutti.rounds`. `nil` means the whole request.
  public var param: String? { failure.param }

  /// - Parameters: texts quoted from the request may be as long as the request and are cut.
  public init(_ code: Failure.Code, _ message: String, param: String? = nil) {
    failure = Failure(
      code, message.cut(toBytes: Limits.errorMessageBytes.value),
      param: param?.cut(toBytes: Limits.errorNameBytes.value))
  }

  static func invalid(_ param: String, _ message: String) -> RequestProblem {
    let param = param.cut(toBytes: Limits.errorNameBytes.value)
    return RequestProblem(.invalidRequest, "`\(param)` \(message)", param: param)
  }

  /// Joins several problems into one that lists the first few and names the first one's member.
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
