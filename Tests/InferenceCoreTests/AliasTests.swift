import ClusterModel
import HostModel
import Testing

@testable import InferenceCore

/// An alias is the client's name of a model that a host knows by another name.
@Suite("Aliases of models")
struct AliasTests {
  private static func host(_ dialect: HostDialect = .openai) -> Host {
    Host(
      id: "h", url: "http://h", dialect: dialect, state: .ready,
      models: [
        ModelOffer(id: "real", contextTokens: 9), ModelOffer(id: "alias", upstream: "real"),
      ])
  }

  private static func sent(
    _ dialect: HostDialect, _ endpoint: InferenceEndpoint = .chatCompletions, as model: ModelID
  ) throws -> UpstreamRequest {
    let view = ClusterView(table: HostTable(epoch: 1, revision: 1, hosts: [host(dialect)]))
    let candidates = Eligibility(
      model: model, constraints: InferenceConstraints(seed: 0), view: view
    ).candidates
    let content =
      endpoint == .embeddings ? #""input":"x""# : #""messages":[{"role":"user","content":"x"}]"#
    return try UpstreamRequest(
      InferenceRequest(
        endpoint: endpoint, model: model, body: Array(#"{"model":"\#(model)",\#(content)}"#.utf8),
        stream: endpoint != .embeddings,
        trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
      to: try #require(candidates.first))
  }

  private static func text(_ items: [UpstreamItem]) -> String {
    items.map { item in
      switch item {
      case .chunk(let chunk): String(decoding: chunk.data, as: UTF8.self)
      case .body(let body, _): String(decoding: body, as: UTF8.self)
      case .done, .end, .broken: ""
      }
    }.joined()
  }

  @Test(
    "a host of every dialect is asked for the name that it knows", arguments: HostDialect.allCases)
  func request(_ dialect: HostDialect) throws {
    let aliased = try Self.sent(dialect, as: "alias")
    #expect(bodyText(aliased).contains(#""model":"real""#))
    #expect(!bodyText(aliased).contains("alias"))
    #expect(aliased.reading.isAlias && aliased.reading.model == "alias")
    #expect(try !Self.sent(dialect, as: "real").reading.isAlias)
  }

  @Test("answers have the client's name, streamed or whole, and keep everything else")
  func answers() throws {
    let chunk = #"{"id":"1","model":"real","choices":[{"delta":{"content":"real"}}], "x":1}"#
    var reader = UpstreamReader(try Self.sent(.openai, as: "alias").reading, status: 200)
    #expect(
      Self.text(reader.append(Array("data: \(chunk)\n\n".utf8)))
        == #"{"id":"1","model":"alias","choices":[{"delta":{"content":"real"}}], "x":1}"#)
    reader = UpstreamReader(try Self.sent(.openai, as: "real").reading, status: 200)
    #expect(Self.text(reader.append(Array("data: \(chunk)\n\n".utf8))) == chunk)

    let body = #"{"model":"real","data":[{"index":0,"embedding":[1]}]}"#
    reader = UpstreamReader(try Self.sent(.openai, .embeddings, as: "alias").reading, status: 200)
    #expect(
      Self.text(reader.append(Array(body.utf8)) + reader.end())
        == body.replacing("real", with: "alias"))
  }

  @Test("an answer without a model's name gets none")
  func nameless() throws {
    let chunk = #"{"choices":[{"delta":{"content":"x"}}]}"#
    var reader = UpstreamReader(try Self.sent(.openai, as: "alias").reading, status: 200)
    #expect(Self.text(reader.append(Array("data: \(chunk)\n\n".utf8))) == chunk)
  }

  @Test("Tutti itself chooses the model, not its alias, unless the client names the alias")
  func choice() {
    let table = HostTable(epoch: 1, revision: 1, hosts: [Self.host()])
    let view = ClusterView(table: table)
    let any = Eligibility(model: nil, constraints: InferenceConstraints(seed: 0), view: view)
    #expect(any.candidates.map(\.model) == ["real"])
    #expect(HostView(table).chatModels(policy: .any) == ["real"])
    #expect(HostView(table).chatModels(policy: .any, named: ["alias"]) == ["alias", "real"])
    let facts = HostView(table).facts(policy: .any, named: ["alias"])
    #expect(facts.first?.models == ["alias", "real"])
    #expect(HostView(table).facts(policy: .any).first?.models == ["real"])
  }

  @Test("an admin's kind of a model wins over its name")
  func kind() {
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: [
        Host(
          id: "h", url: "http://h", state: .ready,
          models: [
            ModelOffer(id: "nomic-embed-text", kind: .chat),
            ModelOffer(id: "vectors", kind: .embeddings), ModelOffer(id: "judge", kind: .other),
          ])
      ])
    #expect(HostView(table).chatModels(policy: .any) == ["nomic-embed-text"])
    let any = Eligibility(model: nil, constraints: InferenceConstraints(seed: 0), table: table)
    #expect(any.candidates.map(\.model) == ["nomic-embed-text"])
    #expect(HostNeed(.anyEmbedding).refusal(of: table.hosts[0]) == nil)
  }
}
