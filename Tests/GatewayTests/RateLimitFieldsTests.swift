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

  @Test("of a host do not reach a client with a key, also if the key has no such limit")
  func ofHost() throws {
    var fields = HTTPFields()
    for (name, value) in [
      ("x-ratelimit-remaining-tokens", "7"), ("X-RateLimit-Limit-Requests", "100"),
      ("ratelimit-policy", "10;w=1"), ("anthropic-ratelimit-tokens-limit", "9"),
      ("x-request-id", "r1"), ("retry-after", "3"), ("openai-processing-ms", "7"),
    ] {
      fields.append(HTTPField(name: try #require(HTTPField.Name(name)), value: value))
    }
    fields.removeHostLimits()
    fields.set(nil as RateLimitHeaders?)
    #expect(
      fields.map(\.name.canonicalName) == ["x-request-id", "retry-after", "openai-processing-ms"])
    let rest = fields
    fields.removeHostLimits()
    #expect(fields == rest)
  }
}
