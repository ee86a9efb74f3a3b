import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Testing

@testable import ServiceKit

@Suite("Errors")
struct HTTPErrorTests {
  @Test(
    "every code has its status, type and outer code",
    arguments: [
      ("invalid_request_error", 400, "invalid_request_error", "invalid_request_error"),
      ("context_length_exceeded", 400, "invalid_request_error", "context_length_exceeded"),
      ("invalid_api_key", 401, "authentication_error", "invalid_api_key"),
      ("insufficient_balance", 402, "insufficient_balance", "insufficient_balance"),
      ("budget_exhausted", 402, "budget_exhausted", "budget_exhausted"),
      ("permission_denied", 403, "permission_error", "permission_denied"),
      ("model_not_found", 404, "invalid_request_error", "model_not_found"),
      ("request_too_large", 413, "invalid_request_error", "request_too_large"),
      ("rate_limited", 429, "rate_limit_error", "rate_limited"),
      ("budget_held", 429, "rate_limit_error", "budget_held"),
      ("overloaded", 503, "server_error", "overloaded"),
      ("upstream_failed", 502, "server_error", "upstream_failed"),
      ("no_eligible_host", 503, "server_error", "no_eligible_host"),
      ("deadline_exceeded", 504, "server_error", "deadline_exceeded"),
      ("hop_loop", 508, "invalid_request_error", "hop_loop"),
      ("internal_error", 500, "server_error", "internal_error"),
      ("peer_lost", 503, "server_error", "overloaded"),
      ("no_peer", 503, "server_error", "overloaded"),
      ("hosts_busy", 503, "server_error", "overloaded"),
      ("outbox_full", 503, "server_error", "overloaded"),
      ("shutting_down", 503, "server_error", "overloaded"),
      ("store_full", 503, "server_error", "store_full"),
      ("something_new", 500, "server_error", "internal_error"),
    ])
  func table(_ inner: String, _ status: Int, _ type: String, _ code: String) {
    let failure = Failure(Failure.Code(rawValue: inner), "Why.")
    #expect(httpStatus(for: failure.code).code == status)
    let body = ErrorBody(failure)
    #expect(body.type == type)
    #expect(body.code == code)
  }

  @Test("the body has the four members, null included, and survives any message")
  func shape() throws {
    let message = "quote \" backslash \\ line\nend \u{0} ü 🎼"
    let json = ErrorBody(Failure(.modelNotFound, message), param: nil).json
    #expect(!json.contains(UInt8(ascii: "\n")))
    let object = try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any]
    let error = try #require(object?["error"] as? [String: Any])
    #expect(Set(error.keys) == ["message", "type", "param", "code"])
    #expect(error["message"] as? String == message)
    #expect(error["param"] is NSNull)
    let own = ErrorBody(Failure(.invalidRequest, "x", param: "tutti.rounds")).json
    #expect(String(decoding: own, as: UTF8.self).contains("\"param\":\"tutti.rounds\""))
    let named = ErrorBody(Failure(.invalidRequest, "x"), param: "messages").json
    #expect(String(decoding: named, as: UTF8.self).contains("\"param\":\"messages\""))
  }

  @Test("the status and the members of a host's error are the answer")
  func refusal() throws {
    let failure = Failure(
      .invalidRequest, "host a: no", retryAfter: .milliseconds(1_250),
      refusal: HostRefusal(
        status: 422,
        members: [
          .init(name: "code", json: Array("7".utf8)),
          .init(name: "param", json: Array(#""p""#.utf8)),
          .init(name: "n_ctx", json: Array("2048".utf8)),
        ]))
    #expect(httpStatus(of: failure).code == 422)
    #expect(jsonError(failure).status.code == 422)
    #expect(
      String(decoding: ErrorBody(failure).json, as: UTF8.self)
        == #"{"error":{"message":"host a: no","type":"invalid_request_error","param":"p","code":7,"n_ctx":2048}}"#
    )
    let headers = errorHeaders(for: failure)
    #expect(headers[.retryAfter] == "2" && headers[HTTPField.Name("retry-after-ms")!] == "1250")
    // A refusal with a status that is not an error falls back to the failure's own status.
    let odd = Failure(.overloaded, "", refusal: HostRefusal(status: 200))
    #expect(httpStatus(of: odd).code == 503)
  }

  @Test("Retry-After comes with what passes, rounded up, and not with what does not")
  func retryAfter() {
    func header(_ failure: Failure) -> String? { errorHeaders(for: failure)[.retryAfter] }
    #expect(header(Failure(.overloaded, "")) == "1")
    #expect(header(Failure(.rateLimited, "", retryAfter: .milliseconds(2_100))) == "3")
    #expect(header(Failure(.peerLost, "", retryAfter: .zero)) == "1")
    #expect(header(Failure(.invalidRequest, "")) == nil)
    #expect(header(Failure(.noEligibleHost, "", retryAfter: .seconds(5))) == "5")
  }

  private static let routes = [
    KnownRoute(method: "GET", path: "/health"), KnownRoute(method: "GET", path: "/v1/models/{id}"),
    KnownRoute(method: "DELETE", path: "/v1/models/{id}"),
    KnownRoute(method: "POST", path: "/v1/chat/completions"),
  ]

  @Test("the error for an unknown path lists the paths")
  func unknownPath() {
    guard
      case .unknownPath(let failure) = RouteMiss(
        method: "GET", path: "/v1/chat", routes: Self.routes)
    else {
      Issue.record("the path was found")
      return
    }
    #expect(
      failure.message
        == "There is no /v1/chat here. There is: GET /health, GET /v1/models/{id}, "
        + "DELETE /v1/models/{id}, POST /v1/chat/completions.")
  }

  @Test("the error for a wrong method lists the right ones")
  func wrongMethod() {
    guard
      case .wrongMethod(let failure, let allow) = RouteMiss(
        method: "PUT", path: "/v1/models/x", routes: Self.routes)
    else {
      Issue.record("the path was not found")
      return
    }
    #expect(allow == "GET, DELETE, HEAD")
    #expect(failure.code == .methodNotAllowed)
  }

  @Test(
    "patterns match as the router does",
    arguments: [
      ("/a/{id}", "/a/b", true), ("/a/{id}", "/a", false), ("/a/{id}", "/a/b/c", false),
      ("/a/**", "/a/b/c", true), ("/a/*", "/a/b", true), ("/", "/", true), ("/", "/a", false),
      ("/a", "/a/", true), ("/A", "/a", false),
    ])
  func patterns(_ pattern: String, _ path: String, _ matches: Bool) {
    #expect(RouteMiss.matches(pattern, path) == matches)
  }

  @Test("a taken port is named, with what to do about it")
  func takenPort() {
    var options = HTTPServerOptions(address: HostAndPort(port: 8080))
    options.setting = "--port"
    let failure = HTTPServer.failure(errorNumber: EADDRINUSE, "", options)
    #expect(failure.status == .unavailable)
    #expect(
      failure.message
        == "Port 8080 on 127.0.0.1 is taken: stop what listens there, or choose another port with "
        + "--port.")
  }
}
