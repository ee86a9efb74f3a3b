import ClusterModel
import ClusterTesting
import GatewayCore
import Limits
import RegistryCore
import Testing
import Text

@Suite("Lists of models as hosts really give them")
struct ModelListingTests {
  private func names(_ json: String) -> [String]? {
    (try? ModelListing(parsing: Array(json.utf8)))?.entries.map(\.id)
  }

  @Test(
    "every shape in use is read",
    arguments: [
      (#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#, ["a", "b"]),
      (#"[{"id":"a"},{"id":"b"}]"#, ["a", "b"]),
      (#"["a","b"]"#, ["a", "b"]),
      (#"{"models":[{"name":"a"},{"model":"b"}]}"#, ["a", "b"]),
      (#"{"models":[{"name":"models/gemini-x"}]}"#, ["gemini-x"]),
      (#"{"data":null,"models":[{"id":"a"}]}"#, ["a"]),
      (#"{"data":null}"#, []), (#"{"models":null}"#, []), (#"{"data":[]}"#, []), ("[]", []),
      ("\u{FEFF}" + #"{"data":[{"id":"a"}]}"#, ["a"]),
      (#"{"data":[{"id":"a","x":NaN,"y":-Infinity,"t":"NaN \" Infinity"}]}"#, ["a"]),
    ] as [(String, [String])])
  func shapes(json: String, expected: [String]) {
    #expect(names(json) == expected)
  }

  @Test(
    "a body that is not a list of models is refused",
    arguments: ["", "<html>", "{}", #"{"error":{}}"#, #"{"data":{}}"#, "7", "null", #"{"data":7}"#])
  func noList(json: String) {
    #expect(names(json) == nil)
  }

  @Test(
    "one odd entry hides no other",
    arguments: [
      "null", "7", "{}", #"{"id":null}"#, #"{"id":7}"#, #"{"id":""}"#, "[]", #"{"id":{"a":1}}"#,
      #"{"object":"model","owned_by":7}"#,
    ])
  func oddEntry(entry: String) {
    #expect(names(#"{"data":[{"id":"a"},\#(entry),{"id":"b"}]}"#) == ["a", "b"])
  }

  @Test(
    "the context length is read under each of its names, and only if it is one",
    arguments: [
      (#""max_model_len":4096"#, 4_096), (#""context_length":"32768""#, 32_768),
      (#""context_window":131072.0"#, 131_072), (#""max_context_length":8192"#, 8_192),
      (#""max_model_len":-1"#, nil), (#""max_model_len":"x""#, nil), (#""max_model_len":[]"#, nil),
      (#""max_model_len":1e999"#, Usage.mostTokens),
    ] as [(String, Int?)])
  func context(member: String, tokens: Int?) throws {
    let listing = try ModelListing(parsing: Array(#"{"data":[{"id":"a",\#(member)}]}"#.utf8))
    #expect(listing.offers(contextTokens: nil).first?.contextTokens == tokens)
  }

  @Test("a byte that is no UTF-8 in one name does not hide the others")
  func badBytes() throws {
    let list = Array(#"{"data":[{"id":"a"},{"id":""#.utf8) + [0xFF] + Array(#""}]}"#.utf8)
    #expect(try ModelListing(parsing: list).entries.map(\.id) == ["a", "\u{FFFD}"])
  }

  @Test("facts about a model reach the gateway's own list, unchanged and bounded")
  func facts() throws {
    let entry =
      #"{"id":"m","object":"model","created":1700,"owned_by":"vllm","max_model_len":4096,"architecture":{"input_modalities":["text","image"]},"permission":[{"id":"x"}],"context_length":null}"#
    let offer = try #require(
      try ModelListing(parsing: Array("[\(entry)]".utf8)).offers(contextTokens: nil).first)
    let host = Host(id: "h", url: "http://h", state: .ready, models: [offer])
    let table = HostTable(epoch: 1, revision: 1, hosts: [host])
    #expect(
      String(decoding: try ModelList.model("m", table).encoded, as: UTF8.self)
        == #"{"id":"m","object":"model","created":1700,"owned_by":"vllm","max_model_len":4096,"architecture":{"input_modalities":["text","image"]}}"#
    )
    let long = #"[{"id":"m","owned_by":"\#(String(repeating: "x", count: 5_000))","created":7}]"#
    let kept = try ModelListing(parsing: Array(long.utf8)).offers(contextTokens: nil)
    #expect(kept.first?.facts == #""created":7"#)
  }

  @Test("a model without facts has its host's name for an owner, and the context that is known")
  func noFacts() throws {
    let host = Host(
      id: "h", url: "http://h", state: .ready, models: [ModelOffer(id: "m", contextTokens: 9)])
    let table = HostTable(epoch: 1, revision: 1, hosts: [host])
    #expect(
      String(decoding: try ModelList.model("m", table).encoded, as: UTF8.self)
        == #"{"id":"m","object":"model","created":0,"owned_by":"h","context_length":9}"#)
  }
}

@Suite("Hosts whose API lies elsewhere, or that list no models")
struct UnlistedHostTests {
  private var rng = SeededGenerator(seed: 1)
  private var hosts = HostRegistry(epoch: 1, now: .zero)

  private mutating func probe(_ draft: HostDraft, _ result: ProbeResult) throws -> Host {
    for case .probe(let order) in try hosts.add(draft, now: .zero).directives {
      _ = hosts.probed(order, result, now: .zero, using: &rng)
    }
    return try #require(hosts.table.hosts.last)
  }

  private static let unlisted = ProbeResult.unlisted(
    ProbeReport(models: [], omitsV1: true, roundTrip: .zero),
    reason: "GET http://x/models returns 404")

  @Test("a host without a list is ready with the models that an admin named, and not without")
  mutating func named() throws {
    let ready = try probe(HostDraft(url: "http://a/v4", models: ["m", "n"]), Self.unlisted)
    #expect(ready.state == .ready && ready.models.map(\.id) == ["m", "n"] && ready.omitsV1)
    let not = try probe(HostDraft(url: "http://b/v4"), Self.unlisted)
    #expect(not.state == .unreachable && not.reason.contains("http://x/models"))
  }

  @Test("named models are offered, with the facts of the host's list")
  mutating func replaced() throws {
    let listed = ProbeReport(
      models: [ModelOffer(id: "m", contextTokens: 7), ModelOffer(id: "o")], roundTrip: .zero)
    let host = try probe(HostDraft(url: "http://a", models: ["m", "n"]), .answered(listed))
    #expect(host.models == [ModelOffer(id: "m", contextTokens: 7), ModelOffer(id: "n")])
  }

  @Test("a ready host whose list cannot be read once stays ready")
  mutating func once() throws {
    let listed = ProbeReport(models: [ModelOffer(id: "m")], roundTrip: .zero)
    _ = try probe(HostDraft(url: "http://a"), .answered(listed))
    let due = try #require(hosts.nextProbeTime)
    for case .probe(let order) in hosts.tick(now: due) {
      _ = hosts.probed(order, Self.unlisted, now: due, using: &rng)
    }
    #expect(hosts.table.hosts.first?.state == .ready)
  }

  @Test(
    "where the API is follows from the URL, or is asked",
    arguments: [
      ("http://a:1", nil, false), ("http://a:1/v1", nil, false), ("https://a/llm/v1", false, false),
      ("https://a/v1beta/openai", nil, true), ("https://a/api/paas/v4/", nil, true),
      ("https://a/x/v1/chat/completions", false, false),
      ("https://a/v4/chat/completions", nil, true),
    ] as [(String, Bool?, Bool)])
  mutating func place(url: String, known: Bool?, likely: Bool) throws {
    let orders = try hosts.add(HostDraft(url: url), now: .zero).directives.compactMap {
      if case .probe(let order) = $0 { order } else { nil }
    }
    #expect(orders.first?.omitsV1 == known && orders.first?.probablyOmitsV1 == likely)
  }

  @Test("names that no table can hold are refused, and Tutti's own")
  mutating func unfit() {
    for name in ["", "a\nb", String(repeating: "x", count: 257), "tutti/auto"] {
      #expect(throws: Failure.self) {
        try hosts.add(HostDraft(url: "http://a", models: [ModelID(name)]), now: .zero)
      }
    }
  }

  @Test("facts never take the room of a name")
  mutating func room() throws {
    var limits = HostRegistry.Limits()
    limits.offerBytes = 4_000
    limits.hostOfferBytes = 4_000
    limits.guaranteedOfferBytes = 100
    hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    let facts = "\"owned_by\":\"\(String(repeating: "x", count: 180))\""
    let models = (0..<40).map { ModelOffer(id: ModelID("m\($0)"), facts: facts) }
    for number in 0..<4 {
      let host = try probe(
        HostDraft(url: "http://h\(number)"),
        .answered(ProbeReport(models: models, roundTrip: .zero)))
      #expect(host.models.count == 40, "\(number)")
    }
    #expect(hosts.table.hosts.flatMap(\.models).contains { !$0.facts.isEmpty })
  }
}
