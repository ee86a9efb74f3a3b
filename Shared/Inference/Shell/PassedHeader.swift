import ClusterModel
import InferenceCore
import Limits
import NIOHTTP1

/// Selects the headers of a host's answer that the client gets.
///
/// The selected headers describe the request and the rate limits. All other headers are dropped.
extension PassedHeader {
  private static let names: Set<String> = [
    "x-request-id", "request-id", "x-should-retry", "x-model-id", "x-inference-time",
  ]
  private static let prefixes =
    ["x-ratelimit-", "ratelimit-", "x-compute-"]
    + HostDialect.allCases.flatMap(\.passedHeaders)

  static func all(in headers: HTTPHeaders) -> [PassedHeader] {
    var passed: [PassedHeader] = []
    for (name, value) in headers {
      guard name.utf8.count <= Limits.passedHeaderBytes.value,
        value.utf8.count <= Limits.passedHeaderBytes.value
      else { continue }
      let small = name.lowercased()
      guard names.contains(small) || prefixes.contains(where: small.hasPrefix),
        value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
      else { continue }
      passed.append(PassedHeader(name: small, value: value))
      if passed.count == Limits.passedHeaders.value { break }
    }
    return passed
  }
}
