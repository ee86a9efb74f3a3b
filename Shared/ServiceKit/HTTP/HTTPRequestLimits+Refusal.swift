import ClusterModel
import Limits
import NIOHTTP1

extension HTTPRequestLimits {
  /// The reason to refuse a request because of its head. `nil` means that the head is accepted.
  ///
  /// - Parameter restriction: the limit that restricts the connection to reserved paths; `nil` means
  ///   no restriction.
  func refusal(of head: HTTPRequestHead, restriction: Limit?) -> Failure? {
    let hosts = head.headers.count(of: "host")
    guard hosts <= 1 else {
      return Failure(.invalidRequest, "The request has \(hosts) Host headers; it may have one.")
    }
    let origins = head.headers.count(of: "origin")
    guard origins <= 1 else {
      return Failure(
        .invalidRequest, "The request has \(origins) Origin headers; it may have one.")
    }
    if head.version == .http1_0 || head.version == .http0_9 {
      if head.headers.contains(name: "transfer-encoding") {
        return Failure(
          .invalidRequest, "HTTP/1.0 has no Transfer-Encoding: send a Content-Length, or HTTP/1.1.")
      }
    } else if hosts == 0 {
      return Failure(.invalidRequest, "The request has no Host header.")
    }
    if !requiresKeys(),
      let failure = access?.refusal(
        host: head.headers.first(name: "host"), origin: head.headers.first(name: "origin"))
    {
      return failure
    }
    guard let limit = restriction else { return nil }
    let path = head.uri.prefix { $0 != "?" }
    guard !reservedPaths.contains(String(path)) else { return nil }
    let isOwn = limit.name != Limits.connections.name
    return Failure(
      isOwn ? .rateLimited : .overloaded,
      "\(isOwn ? "This client has" : "The server has") \(limit.value) connections already and none "
        + "of them is idle (limit \(limit.name)); try again in a moment.", retryAfter: .seconds(1))
  }

  /// The failure of a request whose body is larger than allowed.
  var bodyTooLarge: Failure {
    let mebibytes = Double(maxBodyBytes) / 1_048_576
    let limit = mebibytes >= 1 ? "\(Int(mebibytes)) MiB" : "\(maxBodyBytes) bytes"
    return Failure(
      .requestTooLarge, "The request's body is too large: the limit is \(limit).")
  }
}

extension HTTPHeaders {
  /// The number of headers with this name. A subscript would make an array of their values.
  ///
  /// - Parameter name: letters in lower case.
  fileprivate func count(of name: String) -> Int {
    reduce(0) { count, field in
      count + (field.name.utf8.elementsEqual(name.utf8) { $0 | 0x20 == $1 } ? 1 : 0)
    }
  }
}
