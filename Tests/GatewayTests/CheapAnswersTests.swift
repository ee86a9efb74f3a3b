import HTTPTypes
import Hummingbird
import NIOCore
import Testing

@testable import GatewayService

@Suite("Answers that count as cheap")
struct CheapAnswersTests {
  private func isCheap(
    _ status: Int, _ method: HTTPRequest.Method = .post, _ path: String = "/v1/chat/completions"
  ) -> Bool {
    let head = HTTPRequest(method: method, scheme: "http", authority: "t", path: path)
    return CheapAnswers.isCheap(
      Request(head: head, body: RequestBody(buffer: ByteBuffer())), status)
  }

  @Test("an error that the client caused is cheap, and an answer or an error of a host is not")
  func errors() {
    for status in [400, 401, 402, 403, 404, 413, 429] { #expect(isCheap(status)) }
    for status in [200, 500, 502, 503, 504] { #expect(!isCheap(status)) }
  }

  @Test("a request whose client left before its answer is not cheap")
  func left() {
    #expect(!isCheap(RequestJournal.clientLeftStatus))
  }

  @Test("each page is cheap, except those that probes and scrapers read")
  func pages() {
    for method in [HTTPRequest.Method.get, .head] {
      #expect(isCheap(200, method, "/v1/models"))
      #expect(isCheap(200, method, "/v1/models?limit=1"))
      for path in ["/health", "/ready", "/ready?verbose", "/metrics"] {
        #expect(!isCheap(200, method, path), "\(path)")
      }
    }
  }
}
