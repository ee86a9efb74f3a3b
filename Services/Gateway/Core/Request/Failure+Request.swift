import ClusterModel
import Limits

/// Mistakes in a client's request, each with the member that contains it, for example
/// `messages[3].role` or `tutti.rounds`.
extension Failure {
  /// Makes a failure of the client's request. Both texts are cut, because they may quote a request
  /// of any length.
  static func inRequest(_ code: Code, _ message: String, param: String? = nil) -> Failure {
    Failure(
      code, message.cut(toBytes: Limits.errorMessageBytes.value),
      param: param?.cut(toBytes: Limits.errorNameBytes.value))
  }

  static func invalid(_ param: String, _ message: String) -> Failure {
    let param = param.cut(toBytes: Limits.errorNameBytes.value)
    return .inRequest(.invalidRequest, "`\(param)` \(message)", param: param)
  }

  /// Joins several failures into one. The message lists the first few of them, and `param` is the
  /// first one's.
  static func joined(_ problems: [Failure]) -> Failure? {
    guard var first = problems.first else { return nil }
    let shown = problems.prefix(Limits.errorProblems.value)
    let rest = problems.count > shown.count ? "; and more" : ""
    let most = Limits.errorMessageBytes.value - rest.utf8.count
    first.message = shown.map(\.message).joined(separator: "; ").cut(toBytes: most) + rest
    return first
  }
}
