import ClusterModel
import Foundation
import Testing

@testable import CommandLineCore

@Suite("Options of `tutti hosts`")
struct HostOptionsTests {
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

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test("a host is added with what was given, and the registry chooses the rest")
  func added() throws {
    var options = HostOptions()
    #expect(try text(options.body(url: "http://h", id: nil)) == #"{"url":"http://h"}"#)
    options.trust = "local"
    options.tags = ["gpu", "eu"]
    options.region = "fra-1"
    options.price = "0.15/5.0"
    options.slots = 2
    options.models = ["org/m"]
    options.credential = "env:TUTTI_CREDENTIAL_A"
    options.allowsPlainHTTP = true
    #expect(
      try text(options.body(url: "http://h", id: "a"))
        == #"{"url":"http://h","id":"a","trust":"local","credential":"env:TUTTI_CREDENTIAL_A","#
        + #""region":"fra-1","price_input":"0.15","price_output":"5","slots":2,"#
        + #""models":["org/m"],"#
        + #""tags":["gpu","eu"],"allow_plain_http":true}"#)
  }

  @Test("a change holds only what was given, and removes what is cleared")
  func changed() throws {
    var options = HostOptions()
    options.dialect = "auto"
    options.cleared = ["tag", "region", "slots"]
    #expect(
      try text(options.changes())
        == #"{"dialect":"auto","tags":null,"region":null,"slots":null}"#)
    var none = HostOptions()
    none.allowsPlainHTTP = true
    #expect(mistake { _ = try none.changes() }?.contains("no property") == true)
  }

  @Test(
    "a price is one number for all tokens, two for prompts and answers, or free",
    arguments: [
      ("5", "5", "5"), ("0.15/0.6", "0.15", "0.6"), ("0/1", "0", "1"), ("free", "0", "0"),
      ("1000000000", "1000000000", "1000000000"), ("0.10", "0.1", "0.1"),
    ])
  func prices(_ text: String, _ input: String, _ output: String) throws {
    var options = HostOptions()
    options.price = text
    let body = try self.text(options.changes())
    #expect(body == #"{"price_input":"\#(input)","price_output":"\#(output)"}"#)
  }

  @Test(
    "a price that is none is refused with an example",
    arguments: [
      "", "/", "1/", "/1", "1/2/3", "-1", "1/-2", "1e3", "0.1234567", "1000000000.1", "gratis",
      "1 / 2",
    ])
  func wrongPrices(_ text: String) throws {
    var options = HostOptions()
    options.price = text
    let message = try #require(mistake { _ = try options.changes() })
    #expect(message.hasPrefix("--price: “\(text)”") && message.contains("0.15/0.6"), "\(message)")
  }

  @Test("a price is removed as a whole")
  func clearedPrice() throws {
    var options = HostOptions()
    options.cleared = ["price"]
    #expect(try text(options.changes()) == #"{"price_input":null,"price_output":null}"#)
  }

  @Test("all mistakes are named at once, each with its option")
  func mistakes() throws {
    var options = HostOptions()
    options.trust = "locl"
    options.tier = "own"
    options.dialect = "grpc"
    options.resume = "never"
    options.price = "-1"
    options.slots = 0
    options.credential = "secret"
    options.models = [""]
    options.tags = ["GPU"]
    options.region = "a b"
    options.cleared = ["tag", "slots", "cost", "price"]
    let lines = try #require(mistake { _ = try options.changes() }).split(separator: "\n")
    let names = [
      "--trust", "--tier", "--dialect", "--resume", "--price", "--slots", "--credential",
      "--model", "--tag", "--region", "--clear: “cost”", "--clear tag contradicts --tag",
      "--clear price contradicts --price", "--clear slots contradicts --slots",
    ]
    #expect(lines.count == names.count)
    #expect(zip(lines, names).allSatisfy { $0.hasPrefix($1) }, "\(lines)")
    #expect(lines.first?.contains("local") == true)
  }

  @Test("a host is shown with all its properties, also those of a newer registry")
  func details() throws {
    let json = #"""
      {"object":"host","id":"a","url":"http://a","state":"resting","reason":"drained by an admin",
       "tags":["eu","gpu"],"region":null,"slots":null,"price_input":"0.15","price_output":"0.6","version":"x\u0007",
       "models":[{"id":"m","context_tokens":9}],"load":{"in_flight":3,"error_rate":0}}
      """#
    let host = try JSONDecoder().decode(HostDetails.self, from: Data(json.utf8))
    #expect(host.inFlight == 3)
    let lines = host.lines.joined(separator: "\n")
    for part in ["resting (drained by an admin)", "eu, gpu", "not reported", "m", "0.15/0.6"] {
      #expect(lines.contains(part), "\(part)")
    }
    #expect(!lines.contains("\u{7}"))
    let set = json.replacing(
      #""slots":null,"#,
      with: #""dialect":"ollama","slots":null,"configured":{"dialect":"ollama","resume":null,"#
        + #""slots":null,"models":[]},"#)
    let shown = try JSONDecoder().decode(HostDetails.self, from: Data(set.utf8)).lines
    #expect(shown.filter { $0.contains("(set)") }.count == 1)
    #expect(shown.contains { $0.contains("ollama (set)") })
    let old = try JSONDecoder().decode(
      HostDetails.self, from: Data(#"{"id":"a","url":"u","state":"ready"}"#.utf8))
    #expect(old.inFlight == 0 && old.lines.count > 5)
  }

  @Test("the table of hosts has their tags if there are any, and is no wider otherwise")
  func table() throws {
    func host(_ more: String) throws -> HostDetails {
      try JSONDecoder().decode(
        HostDetails.self,
        from: Data(#"{"id":"a","url":"http://a","state":"ready"\#(more)}"#.utf8))
    }
    let plain = try host(
      #","dialect":"openai","tags":[],"models":[{"id":"m"},{"id":"n"}],"load":{"in_flight":2,"#
        + #""first_token_p95_ms":310,"open_breakers":1}"#)
    #expect(
      HostDetails.table([plain, try host(#","reason":"new""#)]).lines == [
        "host  url       dialect  state  breaker    in flight  first-token p95 ms  models  reason",
        "a     http://a  openai   ready  open at 1          2                 310  m, n",
        "a     http://a           ready  closed             -                   -          new",
      ])
    let paid = try host(#","credential":"env:A""#)
    let prices = HostDetails.table([
      plain, paid, try host(#","price_input":"0.15","price_output":"0.6""#),
    ]).lines
    #expect(prices[0].contains("  first-token p95 ms       price  models  reason"))
    #expect(prices[1].contains("310        free  m, n"))
    #expect(prices[2].hasSuffix("-  not stated"))
    #expect(prices[3].hasSuffix("-    0.15/0.6"))
    let tagged = try host(#","tags":["eu","gpu"]"#)
    let lines = HostDetails.table([plain, tagged]).lines
    #expect(lines[0].contains("  first-token p95 ms  tags     models  reason"))
    #expect(lines[1].hasSuffix("310  -        m, n"))
    #expect(lines[2].hasSuffix("-  eu, gpu"))
  }
}
