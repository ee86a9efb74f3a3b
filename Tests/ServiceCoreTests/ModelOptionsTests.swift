import ClusterModel
import Foundation
import Testing

@testable import CommandLineCore

@Suite("Options of `tutti models`")
struct ModelOptionsTests {
  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  private func mistake(_ options: ModelOptions) -> String? {
    do throws(ProcessFailure) {
      _ = try options.body()
      return nil
    } catch {
      return error.status == .usage ? error.message : "\(error.status)"
    }
  }

  @Test("only what was given is sent")
  func body() throws {
    var options = ModelOptions()
    options.standsFor = ["org/m", "n"]
    #expect(try text(options.body()) == #"{"stands_for":["org/m","n"]}"#)
    options.isRanked = true
    #expect(try text(options.body()) == #"{"stands_for":["org/m","n"],"ranked":true}"#)
    options = ModelOptions()
    options.isHidden = false
    options.hostPools = ["eu"]
    options.kind = "embeddings"
    options.contextTokens = 512
    options.cleared = ["host", "alias"]
    #expect(
      try text(options.body())
        == #"{"host_pools":["eu"],"hidden":false,"kind":"embeddings","context_tokens":512,"#
        + #""hosts":null,"stands_for":null}"#)
  }

  @Test("mistakes are reported together, and nothing to do is one")
  func mistakes() {
    #expect(mistake(ModelOptions())?.contains("--context-tokens") == true)
    var options = ModelOptions()
    options.kind = "chats"
    options.contextTokens = 0
    options.hostPools = ["eu"]
    options.cleared = ["pool", "everything"]
    let lines = mistake(options)?.split(separator: "\n") ?? []
    #expect(lines.count == 4, "\(lines)")
    #expect(lines.contains { $0.contains("did you mean chat?") })
    #expect(lines.contains { $0.contains("--clear pool contradicts --pool") })
  }

  @Test("an approval keeps the hosts that were approved before")
  func approval() {
    #expect(
      text(ModelOptions.approval(of: ["b", "c"], after: ["a", "b"]))
        == #"{"hosts":["a","b","c"]}"#)
  }

  @Test("default models are sent together; no option changes nothing, and mistakes are listed")
  func defaults() throws {
    #expect(try ModelDefaults().body() == nil)
    var defaults = ModelDefaults()
    defaults.fast = "org/m"
    defaults.plans = "any"
    #expect(
      try defaults.body().map(text)
        == #"{"gateway.fast_model":"org/m","gateway.plan_models":"any"}"#)
    defaults.fast = ""
    defaults.requests = "a\u{1B}b"
    let wrong = defaults
    let failure = #expect(throws: ProcessFailure.self) { try wrong.body() }
    #expect(failure?.status == .usage)
    #expect(failure?.message.contains("--fast") == true)
    #expect(failure?.message.contains("--requests") == true)
  }

  @Test("a model is shown with its hosts, and control characters in its name are made visible")
  func rows() throws {
    let json = #"""
      {"object":"model","id":"m\u001b[2J","stands_for":["a"],"hosts":[],"host_pools":["eu"],
       "hidden":true,"kind":null,"context_tokens":512,"minimum_versions":[],
       "offers":[{"host":"h","approved":true,"state":"ready"},
                 {"host":"i","approved":false,"state":"ready"},
                 {"host":"j","approved":true,"state":"unreachable"}]}
      """#
    let row = try JSONDecoder().decode(ModelRow.self, from: Data(json.utf8))
    let table = ModelRow.table([row]).lines.joined(separator: "\n")
    #expect(table.contains("1 ready of 2, 1 not approved"))
    let ranked = json.replacingOccurrences(
      of: #""stands_for":["a"]"#, with: #""stands_for":["a","b"],"ranked":true"#)
    let alias = try JSONDecoder().decode(ModelRow.self, from: Data(ranked.utf8))
    #expect(ModelRow.table([alias]).lines.joined().contains("a > b"))
    #expect(table.contains("pool eu") && table.contains("hidden, 512 tokens"))
    #expect(!table.contains("\u{1b}"))
    let details = row.details.joined(separator: "\n")
    #expect(details.contains("ready, not approved") && !details.contains("\u{1b}"))
  }
}
