import HTTPTypes
import Hummingbird
import NIOCore
import OverloadCore
import Testing

@testable import GatewayService

@Suite("What a client is charged for an answer")
struct CheapAnswersTests {
  private func charge(
    _ status: Int, _ method: HTTPRequest.Method = .post, _ path: String = "/v1/chat/completions"
  ) -> ClientPace.Charge? {
    let head = HTTPRequest(method: method, scheme: "http", authority: "t", path: path)
    return CheapAnswers.charge(
      Request(head: head, body: RequestBody(buffer: ByteBuffer())), status)
  }

  @Test("an error that the client caused is charged, and an answer or an error of a host is not")
  func errors() {
    for status in [400, 401, 402, 403, 404, 413, 429] { #expect(charge(status) == .answer) }
    for status in [200, 500, 502, 503, 504] { #expect(charge(status) == nil) }
  }

  @Test("a request whose client left before its answer is charged less than a refusal")
  func left() {
    #expect(charge(RequestJournal.clientLeftStatus) == .abandoned)
  }

  @Test("pages are charged, health checks less than others, and metrics only if refused")
  func pages() {
    for method in [HTTPRequest.Method.get, .head] {
      #expect(charge(200, method, "/v1/models") == .answer)
      #expect(charge(200, method, "/v1/models?limit=1") == .answer)
      for path in ["/health", "/ready", "/ready?verbose"] {
        #expect(charge(200, method, path) == .healthCheck, "\(path)")
        #expect(charge(503, method, path) == .healthCheck, "\(path)")
      }
      #expect(charge(200, method, "/metrics") == nil)
      #expect(charge(401, method, "/metrics") == .answer)
    }
  }
}
