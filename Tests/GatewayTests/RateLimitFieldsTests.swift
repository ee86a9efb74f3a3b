import Access
import ClusterModel
import HTTPTypes
import Testing

@testable import GatewayService

@Suite("Headers of a key's limits")
struct RateLimitFieldsTests {
  @Test("have OpenAI's names, and replace those of a host")
  func names() throws {
    let key = try #require(KeyID("abcdefghijkl"))
    let limits = KeyLimits(requestsPerMinute: 10, tokensPerMinute: 1_000)
    var windows = RateWindows()
    _ = windows.admit(key, limits: limits, tokens: 100, at: .zero)
    var fields: HTTPFields = [.remainingTokens: "7", .contentType: "application/json"]
    fields.set(windows.headers(for: key, limits: limits, at: .zero))
    #expect(
      Set(fields.map { "\($0.name.canonicalName): \($0.value)" }) == [
        "content-type: application/json",
        "x-ratelimit-limit-requests: 10", "x-ratelimit-remaining-requests: 9",
        "x-ratelimit-reset-requests: 1m5s", "x-ratelimit-limit-tokens: 1000",
        "x-ratelimit-remaining-tokens: 900", "x-ratelimit-reset-tokens: 1m5s",
      ])
    #expect(fields.count == 7)
  }

  @Test("of a key without a kind of limit leave those of a host")
  func others() {
    var fields: HTTPFields = [.remainingTokens: "7"]
    fields.set(nil as RateLimitHeaders?)
    #expect(fields[.remainingTokens] == "7" && fields.count == 1)
  }
}
