import Access
import ClusterModel
import Foundation
import Testing

@testable import CommandLineCore

/// 2026-11-29T12:00:00Z.
private let now: Int64 = 1_795_953_600_000

/// The message of the usage error that `body` throws. For a `ProcessFailure` of another status it
/// is the status. `nil` means that `body` threw no `ProcessFailure`.
private func mistake(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return (error as? ProcessFailure).map { $0.status == .usage ? $0.message : "\($0.status)" }
  }
}

@Suite("Options of `tutti keys`")
struct KeyOptionsTests {
  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test("a key is created with what was given, and the registry chooses the rest")
  func creation() throws {
    var options = KeyOptions()
    options.name = "ci"
    #expect(try text(options.body(now: now)) == #"{"name":"ci"}"#)
    options.account = "acme/web"
    options.scopes = ["chat", "admin:read"]
    options.models = ["qwen3"]
    options.patterns = ["tutti/debate"]
    options.dataPolicies = ["local"]
    options.hostPools = ["gpu"]
    options.requestsPerMinute = 60
    options.concurrentRequests = 2
    options.expires = "30d"
    #expect(
      try text(options.body(now: now))
        == #"{"name":"ci","account":"acme/web","scopes":["chat","admin:read"],"#
        + #""permissions":{"models":["qwen3"],"patterns":["tutti/debate"],"#
        + #""data_policies":["local"],"host_pools":["gpu"]},"#
        + #""limits":{"requests_per_minute":60,"concurrent_requests":2},"#
        + #""expires_at_ms":1798545600000}"#)
  }

  @Test("a list of keys is selected by account and state, and mistakes show no key")
  func selection() throws {
    #expect(try KeyListFilter(account: nil, state: nil).query.isEmpty)
    #expect(
      try KeyListFilter(account: "acme/web", state: "active").query
        == "&account=acme%2Fweb&state=active")
    #expect(
      mistake { _ = try KeyListFilter(account: "Acme", state: nil) }?.contains("Acme") == true)
    #expect(
      mistake { _ = try KeyListFilter(account: nil, state: "gone") }?.contains("revoked") == true)
    let key = "tutti-abcdefgh2345-" + String(repeating: "s", count: 42) + "A"
    for text in [key, String(repeating: "s", count: 200)] {
      let shown = mistake { _ = try KeyListFilter(account: text, state: nil) }
      #expect(shown?.contains("sss") == false, "\(text.utf8.count)")
    }
  }

  @Test("the registry's types accept the body of a creation")
  func bodyDecodes() throws {
    struct Body: Decodable {
      let account: AccountPath
      let scopes: [AccessScope]
      let permissions: KeyPermissions
      let limits: KeyLimits
    }
    var options = KeyOptions()
    options.name = "a \"quoted\" name"
    options.account = "acme"
    options.scopes = ["plans"]
    options.patterns = ["tutti/auto"]
    options.tokensPerDay = 1_000
    let body = try JSONDecoder().decode(Body.self, from: Data(options.body(now: now)))
    #expect(body.scopes == [.plans] && body.permissions.patterns == [.auto])
    #expect(body.limits == KeyLimits(tokensPerDay: 1_000))
  }

  @Test("all mistakes are reported at once, with similar names")
  func mistakes() throws {
    var options = KeyOptions()
    options.name = "ci"
    options.account = "Acme Inc"
    options.scopes = ["chatt", "xyz"]
    options.models = ["tutti/debate"]
    options.patterns = ["ensembel"]
    options.dataPolicies = ["locl"]
    options.tokensPerDay = 0
    options.expires = "30"
    let lines = try #require(mistake { _ = try options.body(now: now) })
      .split(separator: "\n").map(String.init)
    let expected = [
      "--account: “Acme Inc” is not an account",
      "--scope: “chatt” is not a scope; did you mean chat",
      "--scope: “xyz” is not a scope; choose from chat, embeddings, plans", "with --pattern",
      "did you mean tutti/ensemble", "did you mean local", "--tokens-per-day: 0 is not from 1 to",
      "--expires: “30” is not a duration",
    ]
    #expect(lines.count == expected.count, "\(lines)")
    for (line, part) in zip(lines, expected) { #expect(line.contains(part), "\(line)") }
  }

  @Test("a whole key as the name is refused and not repeated")
  func secretName() throws {
    let key = try #require(APIKey(random: 0..<48))
    var options = KeyOptions()
    options.name = key.revealed
    let message = try #require(mistake { _ = try options.body(now: now) })
    #expect(!message.contains(key.revealed.suffix(20)))
  }

  @Test("a change has only the named properties; --clear and never remove one")
  func change() throws {
    var options = KeyOptions()
    options.models = ["c"]
    options.requestsPerMinute = 60
    options.cleared = ["pattern", "tokens-per-day"]
    options.expires = "never"
    #expect(
      try text(options.body(now: now))
        == #"{"permissions":{"models":["c"],"patterns":[]},"#
        + #""limits":{"requests_per_minute":60,"tokens_per_day":null},"expires_at_ms":null}"#)
  }

  @Test("a restriction that is set and cleared, or unknown, is refused")
  func contradictions() throws {
    var options = KeyOptions()
    options.models = ["b"]
    options.tokensPerDay = 9
    options.cleared = ["model", "tokens-per-day", "modles"]
    let lines = try #require(mistake { _ = try options.body(now: now) })
    #expect(lines.contains("did you mean model"))
    #expect(lines.contains("--clear model contradicts --model"))
    #expect(lines.contains("--clear tokens-per-day contradicts --tokens-per-day"))
  }

  @Test("a change of nothing is refused in words")
  func nothingToChange() {
    #expect(mistake { _ = try KeyOptions().body(now: now) }?.contains("name one") == true)
  }
}

@Suite("Times of keys")
struct KeyTimeTests {
  @Test(
    "an expiry is a duration from now, a date in UTC or never",
    arguments: [
      ("90m", now + 5_400_000), ("12h", now + 43_200_000), ("30d", now + 2_592_000_000),
      ("2w", now + 1_209_600_000), ("2027-01-31", 1_801_353_600_000),
      ("2027-01-31T12:00:00Z", 1_801_396_800_000), ("2027-01-31T12:00Z", 1_801_396_800_000),
    ])
  func expiry(text: String, time: Int64) throws {
    #expect(try KeyTime.expiry(text, now: now) == time)
    #expect(try KeyTime.expiry("never", now: now) == nil)
  }

  @Test(
    "any other expiry is refused",
    arguments: [
      "", "30", "d", "0d", "-1d", "+1d", "1.5h", "30 d", "30D", "٣d", "99999999999999999d",
      "999999999w", "2027-02-29", "2027-13-01", "2027-1-31", "2026-11-29", "2027-01-31T24:00:00Z",
      "2027-01-31T12:00:00", "2027-01-31T12:00:00+01:00", "tomorrow",
    ])
  func wrong(text: String) {
    let message = mistake { _ = try KeyTime.expiry(text, now: now) }
    #expect(message?.hasPrefix("--expires: ") == true)
  }

  @Test("a duration of a megabyte is refused in a short message")
  func huge() {
    let text = "1" + String(repeating: "0", count: 1 << 20) + "d"
    let message = mistake { _ = try KeyTime.expiry(text, now: now) }
    #expect((message?.utf8.count ?? .max) < 400)
  }

  @Test("a grace period may be zero")
  func grace() throws {
    #expect(try KeyTime.grace("0") == 0 && KeyTime.grace("24h") == 86_400_000)
    #expect(mistake { _ = try KeyTime.grace("soon") }?.hasPrefix("--grace: ") == true)
  }

  @Test("a time is shown as a date, with the time of day unless it is midnight")
  func shown() {
    #expect(KeyTime.text(1_801_353_600_000) == "2027-01-31")
    #expect(KeyTime.text(now) == "2026-11-29T12:00:00Z")
  }
}

@Suite("Keys in tables")
struct KeyRowTests {
  private func key(_ members: String) throws -> KeyRow {
    let json = """
      {"object":"key","id":"abcdefgh2345","name":"ci","account":"acme","scopes":["chat","new:scope"],
       "state":"active"\(members)}
      """
    return try JSONDecoder().decode(KeyRow.self, from: Data(json.utf8))
  }

  @Test("the state of a key includes its expiry and its replacement")
  func standing() throws {
    #expect(try key("").standing(now: now) == "active")
    #expect(try key(#","expires_at_ms":\#(now)"#).standing(now: now) == "expired")
    #expect(try key(#","expires_at_ms":\#(now + 1)"#).standing(now: now) == "active")
    #expect(try key(#","grace_until_ms":\#(now)"#).standing(now: now) == "replaced")
    #expect(
      try key(#","grace_until_ms":1801353600000"#).standing(now: now)
        == "replaced, valid until 2027-01-31")
  }

  @Test("a table has one line for each key, and makes control characters visible")
  func table() throws {
    let limited = try key(
      #","permissions":{"models":["m"],"patterns":["tutti/auto"]},"#
        + #""limits":{"requests_per_minute":60,"concurrent_requests":2},"expires_at_ms":1801353600000"#
    )
    let lines = KeyRow.table([limited, try key("")], now: now).lines
    #expect(lines.count == 3)
    #expect(
      lines[1]
        == "abcdefgh2345  ci    acme     active  chat new:scope  m, tutti/auto  "
        + "60 requests/min, 2 at once  2027-01-31")
    #expect(lines[2].hasSuffix("never"))
    let details = limited.details(now: now)
    #expect(details.first == "key            tutti-abcdefgh2345-…")
    #expect(details.contains("data policies  all"))
  }

  @Test("changes are selected by author, action and time, and all mistakes are reported at once")
  func auditSelection() throws {
    var selection = AuditSelection()
    #expect(try selection.query() == "")
    selection.kind = "team"
    selection.id = "acme/web"
    selection.author = "tutti-abcdefgh2345"
    selection.action = "remove"
    selection.from = "2027-01-01"
    selection.until = "2027-01-01T12:00:00Z"
    #expect(
      try selection.query()
        == "kind=team&id=acme%2Fweb&author=key%20tutti-abcdefgh2345&action=remove"
        + "&from_ms=1798761600000&to_ms=1798804800000")
    selection.author = "admin-token"
    #expect(try selection.query().contains("author=admin-token&"))
    selection.author = "tutti-x"
    selection.action = "removed"
    selection.from = "soon"
    let failure = #expect(throws: ProcessFailure.self) { try selection.query() }
    let lines = failure?.message.split(separator: "\n") ?? []
    #expect(lines.count == 3 && failure?.status == .usage, "\(lines)")
    #expect(lines.contains { $0.hasPrefix("--action") && $0.contains("did you mean remove?") })
  }

  @Test("a change in the audit log is described by the members that differ")
  func audit() throws {
    func row(_ before: String, _ after: String) throws -> AuditRow {
      let json = """
        {"position":7,"time_ms":1801353600000,"author":"admin token","kind":"key","id":"x",
         "before":\(before),"after":\(after)}
        """
      return try JSONDecoder().decode(AuditRow.self, from: Data(json.utf8))
    }
    #expect(try row("null", #"{"a":1}"#).summary == "created")
    #expect(try row(#"{"a":1}"#, "null").summary == "removed")
    #expect(
      try row(
        #"{"state":"active","a":1,"l":{"x":1}}"#, #"{"state":"disabled","a":1,"l":{"x":2},"n":[1]}"#
      ).summary == "l: {x=1} → {x=2}, n: none → [1], state: active → disabled")
    let long = String(repeating: "ä", count: 10_000)
    #expect(try row(#"{"a":"\#(long)"}"#, #"{"a":"b"}"#).summary.utf8.count < 100)
    let line = try AuditRow.table([row("null", "{}")]).lines[1]
    #expect(line == " 7  2027-01-31  admin token  key   x   created")
  }
}
