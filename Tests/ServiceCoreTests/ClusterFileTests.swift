import ClusterModel
import Testing

@testable import CommandLineCore

@Suite("Cluster files")
struct ClusterFileTests {
  /// Lines of the failure of a file; empty if it has no mistake.
  private func mistakes(_ text: String) -> [String] {
    do throws(ProcessFailure) {
      _ = try ClusterFile(text: text, path: "c.yaml")
      return []
    } catch {
      return error.message.split(separator: "\n").map(String.init)
    }
  }

  /// A file in which the name of one member is a list of eight lists of eight lists, and so on.
  private static let bomb: String = {
    var text = "a0: &a0 [x]\n"
    for depth in 1...16 {
      let aliases = Array(repeating: "*a\(depth - 1)", count: 8).joined(separator: ",")
      text += "a\(depth): &a\(depth) [\(aliases)]\n"
    }
    return text + "? *a16\n: 1\n"
  }()

  @Test("a file of aliases of aliases is refused before it is read")
  func aliases() {
    let lines = mistakes(Self.bomb)
    #expect(lines.first?.contains("24 aliases") == true && lines.count == 2)
    // A few aliases are fine, and so is other text with asterisks.
    let notes = (0..<100).map { "# a *word* and * a point \($0)\n" }.joined()
    let names = (0..<100).map { "  - {id: \"m\($0)\", hosts: [\"*\"], stands_for: [a*b, '*.c']}\n" }
      .joined()
    #expect(
      mistakes(notes + "models:\n" + names).allSatisfy { !$0.contains("aliases") })
  }

  @Test("all mistakes are reported at once with their lines")
  func all() {
    let lines = mistakes(
      """
      organisations:
        - id: acme
          prepayed: true
          budgets:
            - {amount: -1, period: month}
            - {amount: 5, period: fortnight}
        - id: Acme Inc
        - id: acme
      hosts:
        - id: gpu
          trust: locl
      organizations: []
      keys:
        - name: ci
          limits: {tokens_per_day: 0}
          expires_at_ms: tomorrow
      tariff:
        payout_rule: {reservation_fee: 0}
      """)
    #expect(
      lines.first
        == "c.yaml:3: organisations: “prepayed” is not a known member; did you mean prepaid?")
    for part in [
      "“-1” is not an amount", "“fortnight” is not permitted", "“Acme Inc” is not an id",
      "url is missing", "“locl” is not permitted; did you mean local?",
      "“organizations” is not a known section; did you mean organisations?",
      "c.yaml:15: keys: limits: tokens_per_day: “0” is not a whole number from 1",
      "“tomorrow” is not a date", "progress_fee_per_million is missing",
      "per_mille_of_winner is missing",
    ] { #expect(lines.contains { $0.contains(part) }, "\(part)\n\(lines)") }
    #expect(lines.last == "nothing was changed")
  }

  @Test("a repeated record is refused with both lines")
  func repeated() {
    #expect(
      mistakes("hosts:\n  - {id: a, url: 'http://a'}\n  - {id: a, url: 'http://b'}\n").first
        == "c.yaml:3: host a is here for the second time; the first is in line 2")
    #expect(mistakes("keys:\n  - name: ci\n  - name: ci\n").count == 2)
    #expect(mistakes("keys:\n  - name: ci\n  - {name: ci, id: abcdefgh2345}\n") == [])
    let budgets = "{amount: 1, period: day}, {amount: 2, period: day, window: calendar}"
    #expect(mistakes("organisations: [{id: a, budgets: [\(budgets)]}]").count == 2)
  }

  @Test("values are read by what is wanted, with and without quotes")
  func values() throws {
    let file = try ClusterFile(
      text: """
        prices:
          - {model: "yes", input: 0.150, output: "2"}
        keys:
          - name: 1234
            expires_at_ms: 2027-01-31
        """, path: "")
    let price = try #require(file.sections["prices"]?.first?.members)
    #expect(price["model"] == .text("yes") && price["input"] == .text("0.15"))
    let key = try #require(file.sections["keys"]?.first?.members)
    #expect(key["name"] == .text("1234"))
    #expect(key["expires_at_ms"] == .integer(1_801_353_600_000))
  }

  @Test(
    "text that is no cluster file is refused",
    arguments: [
      "", "~", "- a", "a", "hosts: 1", "hosts: [1]", "tariff: []", "settings: [a]", "hosts: [",
      "keys: [{name: [a]}]", "keys: [{}]", "hosts: []\nhosts: []", "a: *b", "settings: {[a]: 1}",
      "settings: {inference.race: }", "\u{0}",
    ])
  func nonsense(text: String) { #expect(!mistakes(text).isEmpty) }

  @Test("an empty section is refused, because it may be a forgotten one")
  func emptySection() {
    #expect(
      mistakes("keys:\n").first
        == "c.yaml:1: keys is empty; write [] if there shall be no key, or leave the section out so "
        + "that its records stay")
    #expect(mistakes("settings: ~").first?.contains("write {}") == true)
    #expect(mistakes("tariff:").first?.contains("tariff is empty; leave") == true)
    #expect(mistakes("keys: []\nsettings: {}") == [])
  }

  @Test("values that the registry refuses are found in the file")
  func refusedValues() {
    let long = String(repeating: "n", count: 257)
    for (text, part) in [
      ("hosts: [{id: my host, url: 'http://a'}]", "“my host” is not an id of a host"),
      ("hosts: [{id: a, url: 'http://a', tags: [GPU]}]", "“GPU” is not a name of"),
      ("hosts: [{id: a, url: 'http://a', region: 'a b'}]", "is not a name of"),
      ("keys: [{name: \(long)}]", "more than 256 bytes"),
      ("prices: [{model: m, input: 1000000001, output: 1}]", "is not an amount"),
      ("models: [{id: m, kind: chats}]", "did you mean chat?"),
      (
        "organisations: [{id: a, budgets: [{amount: 1, period: day, warnings: "
          + "[\((1...17).map(String.init).joined(separator: ","))]}]}]", "more than 16 elements"
      ),
    ] { #expect(mistakes(text).first?.contains(part) == true, "\(text)\n\(mistakes(text))") }
  }

  @Test("a secret in place of its reference is refused and not repeated")
  func credential() {
    let lines = mistakes("hosts: [{id: a, url: 'http://a', credential: sk-live-4711}]")
    #expect(lines.count == 2 && lines[0].contains("c.yaml:1: hosts: credential"))
    #expect(!lines[0].contains("4711"))
    #expect(
      mistakes("hosts: [{id: a, url: 'http://a', credential: 'env:TUTTI_CREDENTIAL_A'}]") == [])
  }

  @Test("deep, wide and very large files end with a mistake")
  func bounds() {
    let deep = String(repeating: "[", count: 900) + String(repeating: "]", count: 900)
    #expect(!mistakes("settings: {a: \(deep)}").isEmpty)
    #expect(mistakes(String(repeating: "#", count: ClusterFile.maximumBytes + 1)).count == 2)
    // Each line repeats the line before eight times. The file has as many aliases as are permitted.
    let first = Array(repeating: "x", count: 2_000).joined(separator: ", ")
    var bomb = "settings:\n  a0: &a0 [\(first)]\n"
    for level in 1...3 {
      let before = Array(repeating: "*a\(level - 1)", count: 8).joined(separator: ", ")
      bomb += "  a\(level): &a\(level) [\(before)]\n"
    }
    #expect(mistakes(bomb).contains { $0.contains("too many values") })
    let many = "hosts:\n" + String(repeating: "  - x: 1\n", count: 5_000)
    #expect(mistakes(many).count < 60)
  }

  @Test("a whole key is refused as a name and not repeated")
  func secret() throws {
    let key = "tutti-abcdefgh2345-" + String(repeating: "s", count: 42) + "A"
    let line = try #require(mistakes("keys: [{name: \(key)}]").first)
    #expect(HiddenSecrets.hide(in: line).contains("whole key"))
    #expect(!HiddenSecrets.hide(in: line).contains("sss"))
  }

  @Test("an export writes names that are special in YAML as text")
  func scalars() {
    #expect(ClusterExport.scalar("acme/web") == "acme/web")
    for (text, written) in [
      ("true", #""true""#), ("1", #""1""#), ("", #""""#), ("a: b", #""a: b""#),
      ("q\"\\", #""q\"\\""#), ("\u{85}", #""\u0085""#), ("No", #""No""#),
    ] { #expect(ClusterExport.scalar(text) == written) }
  }
}
