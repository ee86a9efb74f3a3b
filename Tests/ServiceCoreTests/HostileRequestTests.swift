import ClusterModel
import GatewayCore
import Limits
import Testing
import Text

private func ensemble(_ tutti: String) -> String {
  #"{"model":"tutti/ensemble",\#(hello),"tutti":\#(tutti)}"#
}

private func times(_ count: Int, _ element: String) -> String {
  Array(repeating: element, count: count).joined(separator: ",")
}

@Suite("Hostile requests are refused in few words")
struct HostileRequestTests {
  static let long = String(repeating: "é", count: 100_000)

  @Test(
    "an error has a bounded size, however many mistakes it is about",
    arguments: [
      ensemble("{\(times(10_000, #""members":3"#))}"),
      ensemble("{\(times(10_000, #""x":3"#))}"),
      ensemble("{\((0..<5_000).map { "\"option\($0)\":1" }.joined(separator: ","))}"),
      ensemble(#"{"\#(long)":1}"#), ensemble(#"{"members":[\#(times(10_000, #""m""#))]}"#),
      ensemble(#"{"members":["\#(long)"]}"#), ensemble(#"{"members":9e18}"#),
      ensemble(#"{"members":9223372036854775807}"#), ensemble(#"{"members":-1e400}"#),
      ensemble(#"{"members":99999999999999999999999}"#), ensemble(#"{"rounds":1e308}"#),
      ensemble(#"{"quorum":\#(String(repeating: "9", count: 100_000))}"#),
      ensemble(#"{"budget":{\#(times(10_000, #""y":1"#))}}"#),
      ensemble(#"{"budget":{"\#(long)":1}}"#), ensemble(#"{"race":"\#(long)"}"#),
      ensemble(#"{"deadlines_ms":{\#(times(10_000, #""total":0"#))}}"#),
      ensemble(#"{"documents":[\#(times(10_000, "{}"))]}"#),
      ensemble(#"{"documents":[\#(times(101, #"{"name":"a","text":"b"}"#))]}"#),
      ensemble(#"{"documents":[{"name":"\#(long)","text":"b"}]}"#),
      ensemble(#"{"documents":[{"name":"a","text":"\u0000"}]}"#),
      ensemble(#"{"seed":"\#(long)"}"#), ensemble("[\(times(10_000, "1"))]"),
      #"{"model":"\#(long)",\#(hello)}"#, #"{"\#(long)":1,"\#(long)":2,\#(hello)}"#,
      #"{\#(times(10_000, #""model":"m""#)),\#(hello)}"#,
      #"{"model":"m","messages":[\#(times(10_001, #"{"role":"user"}"#))]}"#,
      #"{"model":"m",\#(hello),"stop":1,"seed":"x","tools":1,"top_p":"x","temperature":"x","n":0,"max_tokens":0,"stream":1,"response_format":1,"stream_options":1}"#,
    ])
  func bounded(json: String) throws {
    let found = try #require(refused(json))
    #expect(found.message.utf8.count <= Limits.errorMessageBytes.value)
    #expect(!found.message.isEmpty)
    #expect((found.param?.utf8.count ?? 0) <= Limits.errorNameBytes.value)
  }

  @Test("one member a million times is refused after a few of them")
  func millionMembers() throws {
    let found = try #require(refused(ensemble("{\(times(1_000_000, #""a":1"#))}")))
    #expect(found.message.contains("`tutti.a`"))
    #expect(found.message.hasSuffix("; and more"))
    #expect(found.param == "tutti.a")
  }

  @Test(
    "unusual but valid requests are read",
    arguments: [
      #"{"model":"m",\#(hello),"tools":[]}"#, #"{"model":"\u0000",\#(hello)}"#,
      #"{"model":"m","messages":[{"role":"user","content":"\ud800 \u0000\r\n🇩🇪é"}]}"#,
      #"{"model":"m","messages":[{"role":"user","content":[\#(times(10_000, #"{"text":"ab"}"#))]}]}"#,
      #"{"model":"m",\#(hello),"n":128,"best_of":-9223372036854775808}"#,
    ])
  func odd(json: String) throws {
    let request = try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions)
    #expect(request.query.utf8.count <= RequestLimits.queryBytes)
  }

  @Test("a query is cut between code points")
  func cutQuery() throws {
    let text = "x" + String(repeating: "€", count: 30_000)
    let request = try ClientRequest(
      parsing: Array(#"{"model":"m","messages":[{"role":"user","content":"\#(text)"}]}"#.utf8),
      endpoint: .chatCompletions)
    #expect(request.query.utf8.count <= RequestLimits.queryBytes)
    #expect(request.query.hasSuffix("€") && text.hasPrefix(request.query))
    #expect("e\u{301}\u{301}".cut(toBytes: 2) == "e" && "abc".cut(toBytes: -1).isEmpty)
    #expect(("a" + String(repeating: "\u{301}", count: 900_000)).cut(toBytes: 100).utf8.count == 99)
  }

  @Test("the name of an unknown model is quoted by bytes")
  func longName() throws {
    let name = "tutti/" + String(repeating: "\u{301}", count: 120)
    let request = try ClientRequest(
      parsing: Array(#"{"model":"\#(name)",\#(hello)}"#.utf8), endpoint: .chatCompletions)
    let error = #expect(throws: Failure.self) {
      try GatewayRouting.route(request, table: HostTable(epoch: 1, revision: 1, hosts: []))
    }
    #expect((error?.message.utf8.count ?? .max) < 512)
  }

  @Test("a message keeps a bounded number of odd members")
  func assembled() {
    var message = MessageAssembler()
    for index in 0..<10_000 {
      message.add(TaskDelta(text: "", deltaJSON: Array(#"{"m\#(index)":"x"}"#.utf8)))
    }
    guard case .object(let members) = message.message else { return }
    #expect(members.count <= Limits.assembledNames.value + 2)
  }

  @Test("a trace keeps outputs up to its limit, and then reports why no dispatcher can take over")
  func trace() {
    let plan = Plan.fan(4)
    var trace = PlanTrace(plan)
    let megabytes = String(repeating: "x", count: 6 << 20)
    func end(_ task: TaskID) {
      trace.record(
        .ended(
          TaskEnded(
            task: task, role: .research, agent: "a", status: .done, report: report(megabytes))))
    }
    end("t0")
    end("t0")
    end("t1")
    #expect(trace.obstacle == nil && trace.finished.count == 2)
    end("t2")
    #expect(trace.obstacle?.contains(Limits.planTraceBytes.name) == true)
    #expect(trace.finished.isEmpty && trace.answer.isEmpty)
    trace.record(.delta(TaskDelta(text: "more")))
    #expect(trace.answer.isEmpty)
    #expect(trace.task("t2")?.status == .done)
    for index in 0..<1_000 {
      trace.record(.started(task: TaskID("odd-\(index)"), role: .code, agent: "a", attempt: 1))
    }
    #expect(trace.tasks.count <= PlanValidation.maximumTasks)
  }
}
