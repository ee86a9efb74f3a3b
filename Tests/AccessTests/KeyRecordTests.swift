import Access
import ClusterModel
import Foundation
import Testing

/// The value as JSON with sorted names.
func json(_ value: some Encodable) throws -> String {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return String(decoding: try encoder.encode(value), as: UTF8.self)
}

private func record(_ json: String) throws -> KeyRecord {
  try JSONDecoder().decode(KeyRecord.self, from: Data(json.utf8))
}

@Suite("Key records")
struct KeyRecordTests {
  private static let hash = String(repeating: "ab", count: 32)
  private static let id = "aaaqeayeauda"

  private static func minimal(_ more: String = "", name: String = "ci") -> String {
    """
    {"id":"\(id)","name":"\(name)","account":"acme","hash":"\(hash)","scopes":["chat"],\
    "state":"active"\(more)}
    """
  }

  @Test("a record has the same JSON names and order every time")
  func names() throws {
    var full = try record(Self.minimal())
    full.permissions = KeyPermissions(
      models: ["b", "a"], patterns: [.ensemble, .auto], dataPolicies: [.local],
      hostPools: ["gpu"])
    full.limits = KeyLimits(
      requestsPerMinute: 1, requestsPerDay: 2, tokensPerMinute: 3, tokensPerDay: 4,
      concurrentRequests: 5)
    full.scopes = [.metrics, .adminRead]
    full.expiresAt = 10
    full.graceUntil = 20
    full.replaces = KeyID("bbbbbbbbbbbb")
    let text = """
      {"account":"acme","expires_at":10,"grace_until":20,"hash":"\(Self.hash)",\
      "id":"aaaqeayeauda","limits":{"concurrent_requests":5,"requests_per_day":2,\
      "requests_per_minute":1,"tokens_per_day":4,"tokens_per_minute":3},"name":"ci",\
      "permissions":{"data_policies":["local"],"host_pools":["gpu"],"models":["a","b"],\
      "patterns":["tutti/auto","tutti/ensemble"]},"replaces":"bbbbbbbbbbbb",\
      "scopes":["admin:read","metrics"],"state":"active"}
      """
    #expect(try json(full) == text)
    #expect(try record(text) == full)
  }

  @Test("a record without permissions and limits permits all of its scopes")
  func defaults() throws {
    let minimal = try record(Self.minimal())
    #expect(minimal.permissions == .all)
    #expect(minimal.limits == .unlimited)
    #expect(minimal.problem == nil)
  }

  @Test(
    "a record that could grant more than meant, or harm a log, is refused",
    arguments: [
      minimal(#","limits":{"requests_per_minute":0}"#),
      minimal(#","limits":{"tokens_per_day":-1}"#),
      minimal(#","limits":{"tokens_per_day":1.5}"#),
      minimal(#","limits":{"tokens_per_day":9223372036854775807}"#),
      minimal(#","limits":{"tokens_per_day":9223372036854775808}"#),
      minimal(#","permissions":{"data_policies":["secret"]}"#),
      minimal(#","permissions":{"patterns":["tutti/magic"]}"#),
      minimal(#","permissions":{"models":[""]}"#),
      minimal(#","permissions":{"models":["a\u0000b"]}"#),
      minimal(name: ""), minimal(name: #"a\nb"#), minimal(name: #"\u007f"#),
      minimal(name: String(repeating: "a", count: 7_000)),
      minimal().replacing("\"chat\"", with: "\"root\""),
      minimal().replacing("active", with: "paused"),
      minimal().replacing("acme", with: "acme/a/b"),
      minimal().replacing("acme", with: "acme/"),
      minimal().replacing("acme", with: "../etc passwd"),
      minimal().replacing("acme", with: String(repeating: "a", count: 65)),
      minimal().replacing(id, with: "AAAQEAYEAUDA"),
      minimal().replacing(hash, with: "ab"),
      minimal().replacing(hash, with: String(repeating: "xy", count: 32)),
    ])
  func refused(json: String) {
    #expect(throws: DecodingError.self) { try record(json) }
  }

  @Test("a list of a million models is refused")
  func hugeList() throws {
    let models = (0..<1_000_000).map { "\"\($0)\"" }.joined(separator: ",")
    #expect(throws: DecodingError.self) {
      try record(Self.minimal(#","permissions":{"models":[\#(models)]}"#))
    }
  }

  @Test("the problem of a record names the limit")
  func problems() throws {
    var wide = try record(Self.minimal())
    wide.name = String(repeating: "a", count: 7_000)
    #expect(try #require(wide.problem).contains("access.record_bytes"))
    wide.name = "ci"
    wide.permissions.hostPools = Set((0..<300).map(String.init))
    #expect(try #require(wide.problem).contains("access.list_entries"))
  }

  @Test("an account is an organisation or a team of one")
  func accounts() throws {
    let team = try #require(AccountPath("acme/research"))
    #expect(team.organisation == "acme")
    #expect(team.team == "research")
    #expect(AccountPath("acme")?.team == nil)
    #expect(AccountPath(".acme/...")?.team == "...")
    #expect(AccountPath(organisation: "acme", team: "research") == team)
    for text in ["", "/", "a/", "/a", "A", "a b", "é", "a/b/c", ".", "..", "a/..", "./a"] {
      #expect(AccountPath(text) == nil, "\(text)")
    }
  }
}
