import Access
import Testing

@Suite("Keys in headers")
struct PresentedKeyTests {
  private let key: APIKey
  private let other: APIKey

  init() throws {
    key = try sampleKey(1)
    other = try sampleKey(2)
  }

  @Test("a key is accepted in each of the three headers")
  func headers() {
    let text = key.revealed
    #expect(PresentedKey(authorization: ["Bearer \(text)"], apiKeys: []) == .key(key))
    #expect(PresentedKey(authorization: [], apiKeys: [text]) == .key(key))
  }

  @Test(
    "the scheme is read in any case, with any blanks",
    arguments: ["bearer ", "BEARER ", "bEaReR   ", " Bearer \t"])
  func scheme(prefix: String) {
    #expect(PresentedKey(authorization: [prefix + key.revealed + " "], apiKeys: []) == .key(key))
  }

  @Test(
    "a request without a key presents none",
    arguments: [[], [""], ["Bearer"], ["Bearer  "], ["Basic dXNlcjpwYXNz"], ["Bearers x"]])
  func none(authorization: [String]) {
    #expect(PresentedKey(authorization: authorization, apiKeys: []) == .absent)
  }

  @Test("the password of a proxy in front does not hide the key")
  func basicAndKey() {
    let presented = PresentedKey(authorization: ["Basic dXNlcg=="], apiKeys: [key.revealed])
    #expect(presented == .key(key))
  }

  @Test("the same key in two headers is one key, and different keys are refused")
  func several() {
    let bearer = ["Bearer \(key.revealed)"]
    #expect(PresentedKey(authorization: bearer, apiKeys: [key.revealed]) == .key(key))
    #expect(
      PresentedKey(authorization: bearer, apiKeys: [other.revealed]) == .unusable(.several))
    #expect(PresentedKey(authorization: bearer, apiKeys: ["sk-1"]) == .unusable(.several))
    #expect(
      PresentedKey(authorization: [], apiKeys: [key.revealed, other.revealed])
        == .unusable(.several))
  }

  @Test(
    "text that is no key is refused",
    arguments: [
      "sk-1234", "tutti-x", "a b", "\u{0}", "tutti-\u{7F}", "ключ",
      String(repeating: "a", count: 1 << 20), String(repeating: "\u{301}", count: 1 << 19),
    ])
  func malformed(text: String) {
    #expect(PresentedKey(authorization: ["Bearer \(text)"], apiKeys: []) == .unusable(.malformed))
    #expect(PresentedKey(authorization: [], apiKeys: [text]) == .unusable(.malformed))
  }

  @Test("a thousand headers with keys of 1 MB end at the first")
  func manyHuge() {
    let huge = String(repeating: "a", count: 1 << 20)
    let values = Array(repeating: huge, count: 1_000)
    #expect(PresentedKey(authorization: [], apiKeys: values) == .unusable(.malformed))
  }

  @Test("a key in the URL is refused, also next to a valid header")
  func query() {
    let bearer = ["Bearer \(key.revealed)"]
    for query in [
      "api_key=x", "a=b&API-KEY=x", "access_token=", "x-api-key", "q=\(key.revealed)",
      "a=1&key=\(key.revealed)&b=2", "Authorization=Bearer+x",
    ] {
      #expect(
        PresentedKey(authorization: bearer, apiKeys: [], query: query) == .unusable(.inQuery),
        "\(query)")
    }
  }

  @Test("other parameters of the URL are no keys")
  func otherQuery() {
    let bearer = ["Bearer \(key.revealed)"]
    for query in ["", "limit=20&after=x", "key=\(key.id)", "=", "&&", "a==b", "model=tutti/auto"] {
      #expect(PresentedKey(authorization: bearer, apiKeys: [], query: query) == .key(key))
    }
  }
}
