import ClusterModel
import GatewayCore
import Testing
import Text

private let table = HostTable(
  epoch: 1, revision: 1,
  hosts: [
    Host(id: "a", url: "http://a", state: .ready, models: [ModelOffer(id: "llama-3.1-8b")])
  ])

private func request(_ model: String, _ more: String = "") throws -> ClientRequest {
  let json = #"{"model":"\#(model)","messages":[{"role":"user","content":"hi"}]\#(more)}"#
  return try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions)
}

private func refusal(_ body: () throws(Failure) -> Void) throws -> Failure {
  do throws(Failure) { try body() } catch { return error }
  throw Failure(.internalError, "it was not refused")
}

@Suite("Names that the gateway does not know, and what goes with a plan")
struct GatewayNamesTests {
  @Test(
    "a pattern of another version is refused with the names of the present ones",
    arguments: ["tutti/swarm", "tutti/", "tutti/Ensemble"])
  func missingPattern(name: String) throws {
    let request = try request(name)
    let asked = try refusal { () throws(Failure) in
      _ = try GatewayRouting.route(request, table: table)
    }
    let listed = try refusal { () throws(Failure) in _ = try ModelList.model(name, table) }
    for refusal in [asked, listed] {
      #expect(refusal.code == .modelNotFound && refusal.param == "model")
      #expect(
        refusal.message
          == "`\(name)` is not available in this version; available: `tutti/fast`, `tutti/auto`, "
          + "`tutti/ensemble`, `tutti/debate`, `tutti/maestro`, `tutti/decompose`")
    }
  }

  @Test("a model that is asked about by itself and is not there is 404 with near names")
  func unknownModel() throws {
    let near = try refusal { () throws(Failure) in
      _ = try ModelList.model("lama-3.1-8b", table)
    }
    #expect(near.code == .modelNotFound && near.param == "model")
    #expect(near.message.contains("similar names: `llama-3.1-8b`"))
    let far = try refusal { () throws(Failure) in _ = try ModelList.model("xyzzy", table) }
    #expect(far.message.contains("GET /v1/models"))
  }

  @Test("a request's inference options go with the plan and override the configuration")
  func terms() throws {
    let request = try request(
      "tutti/ensemble", #","tutti":{"race":"single","deadlines_ms":{"inter_token":500}}"#)
    let standard = Deadlines(firstToken: .seconds(7), interToken: .seconds(9), minimumRate: 2)
    #expect(
      request.options.terms(over: standard)
        == InferenceTerms(
          race: .single, firstToken: .seconds(7), interToken: .milliseconds(500), minimumRate: 2))
  }

  @Test("plans and embeddings have a longest time of their own, and else that of every answer")
  func routes() {
    let standard = Deadlines(firstToken: .seconds(3), total: .seconds(100))
    let none = RouteDeadlines(standard)
    #expect([.direct, .plan, .embeddings].map(none.of) == [standard, standard, standard])
    let own = RouteDeadlines(standard, plan: .seconds(900), embeddings: .seconds(5))
    #expect(own.of(.direct) == standard)
    #expect(own.of(.plan).total == .seconds(900) && own.of(.plan).firstToken == .seconds(3))
    #expect(own.of(.embeddings).total == .seconds(5))
    #expect(InferenceEndpoint.embeddings.directRoute == .embeddings)
    #expect(InferenceEndpoint.chatCompletions.directRoute == .direct)
  }

  @Test("the trace of a direct answer has a line for every host that was asked")
  func attempts() {
    let trace = TraceExtension.direct(
      trace: TraceID(high: 1, low: 2), seed: 1, host: "a", model: "m", usage: .zero,
      firstToken: .zero, total: .zero,
      attempts: [
        AttemptFacts(
          host: "b", role: "speculative", outcome: "beaten", tokens: 0, started: .zero,
          ended: .milliseconds(310)),
        AttemptFacts(
          host: "a", role: "first", outcome: "answered", tokens: 9, started: .zero,
          ended: .milliseconds(900), chosen: "cheapest of 2 equal hosts", ending: "repetition"),
      ])
    let json = String(decoding: trace.encoded, as: UTF8.self)
    #expect(
      json.contains(
        #""ended_ms":900,"chosen":"cheapest of 2 equal hosts","ending":"repetition"}"#))
    // A direct answer uses no agent, so it has no role.
    #expect(json.contains(#""id":"direct","role":null,"agent":null"#), "\(json)")
    #expect(json.contains(#""hosts":["b","a"]"#))
    #expect(
      json.contains(
        #""attempts":[{"host":"b","role":"speculative","outcome":"beaten","tokens":0,"#
          + #""started_ms":0,"ended_ms":310},"#))
  }
}
