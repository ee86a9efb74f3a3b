import ClusterModel
import Testing

@Suite("Token usage")
struct UsageTests {
  @Test("cached tokens are a part of the prompt, whatever count is given")
  func clamped() {
    func cached(_ tokens: Int, of prompt: Int) -> Int {
      Usage(promptTokens: prompt, cachedTokens: tokens, completionTokens: 1).cachedTokens
    }
    #expect(cached(3, of: 10) == 3)
    #expect(cached(.max, of: 10) == 10)
    #expect(cached(-1, of: 10) == 0)
    #expect(cached(.min, of: 0) == 0)
    #expect(cached(5, of: -1) == 0)
  }

  @Test("the sum of two usages has the cached tokens of both")
  func sum() {
    let first = Usage(promptTokens: 10, cachedTokens: 4, completionTokens: 1)
    let second = Usage(promptTokens: 5, cachedTokens: 5, completionTokens: 2, estimated: true)
    let sum = Usage(promptTokens: 15, cachedTokens: 9, completionTokens: 3, estimated: true)
    #expect(first + second == sum)
    let most = Usage(promptTokens: .max, cachedTokens: .max, completionTokens: 0)
    #expect((most + most).cachedTokens == .max)
  }

  @Test("a lower prompt has no more cached tokens than it has tokens")
  func limited() {
    var usage = Usage(promptTokens: 10, cachedTokens: 8, completionTokens: 1)
    usage.limitPrompt(to: 9)
    #expect(usage == Usage(promptTokens: 9, cachedTokens: 8, completionTokens: 1))
    usage.limitPrompt(to: 6)
    #expect(usage == Usage(promptTokens: 6, cachedTokens: 6, completionTokens: 1))
    // The cached tokens stay 0 if the limit is negative.
    usage.limitPrompt(to: -1)
    #expect(usage.cachedTokens == 0)
  }
}
