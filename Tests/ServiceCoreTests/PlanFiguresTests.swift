import ClusterModel
import GatewayCore
import Money
import PlannerCore
import Testing

/// The price of input and output tokens in micro-credits per million tokens.
private func price(_ model: String, input: Int64, output: Int64) throws -> RequestPrice {
  let price = try TokenPrice(
    input: MicroCredits(input), cachedInput: MicroCredits(input), output: MicroCredits(output))
  let row = PriceRow(model: ModelID(model), effectiveFrom: 0, price: price)
  let table = try PriceTable(epoch: 1, revision: 1, unknown: .refuse, rows: [row])
  return try RequestPrice(of: [ModelID(model)], in: table, at: 1)
}

private let question = try? parse(#"{"model":"tutti/ensemble","max_tokens":300,\#(hello)}"#)

private let hosts = (0..<2).map {
  HostFacts(
    id: HostID("h\($0)"), models: ["m"], freeSlots: 1, rateMilli: 100_000,
    firstTokenMilliseconds: 500)
}

/// Two drafts of 200 tokens, and an answer of 300 from them.
private func drafts() -> Plan {
  let tasks = ["a", "b"].map {
    PlanTask(id: TaskID($0), role: .research, maxTokens: 200)
  }
  let answer = PlanTask(
    id: "answer", role: .coordinator,
    inputs: tasks.map { Edge(from: $0.id, name: "Draft \($0.id)") }, merge: .synthesise,
    maxTokens: 300)
  return Plan(
    id: "p", pattern: "tutti/ensemble", tasks: tasks + [answer], sink: "answer", seed: 1,
    deadline: .seconds(60))
}

@Suite("The cost of a plan before it runs")
struct PlanFiguresTests {
  @Test("calls and tokens are those of the tasks, and time is that of the longest chain")
  func tasks() throws {
    let request = try #require(question)
    let figures = PlanFigures(of: drafts(), for: request, hosts: hosts, price: nil)
    #expect(figures.calls == 3 && !figures.grows && figures.credits == nil)
    #expect(figures.usage.completionTokens == 700)
    // The answer reads both drafts.
    #expect(figures.usage.promptTokens > 400)
    // 500 ms and 200 tokens at 100 tokens per second, then 500 ms and 300 tokens.
    #expect(figures.milliseconds == 2_500 + 3_500)
    #expect(request.expectedTokens(of: drafts(), within: nil) == figures.usage.totalTokens)
  }

  @Test("with one slot, the drafts are written one after the other")
  func slots() throws {
    let figures = PlanFigures(
      of: drafts(), for: try #require(question), hosts: [hosts[0]], price: nil)
    #expect(figures.milliseconds == 2_500 + 2_500 + 3_500)
  }

  @Test("without measured hosts there is no time")
  func unmeasured() throws {
    let new = HostFacts(id: "h", models: ["m"])
    for hosts in [[], [new]] {
      let figures = PlanFigures(of: drafts(), for: try #require(question), hosts: hosts, price: nil)
      #expect(figures.milliseconds == nil)
    }
  }

  @Test("the planner's estimate is the time, with the correction of the way that was taken")
  func estimate() throws {
    var plan = drafts()
    let way = PlanEstimate.Way(milliseconds: 4_000, writingMilliseconds: 3_000, tokens: 10)
    plan.estimate = PlanEstimate(decision: .split, direct: way, split: way)
    let figures = PlanFigures(
      of: plan, for: try #require(question), hosts: hosts, price: nil,
      correction: EstimateCorrection(directPercent: 100, splitPercent: 150))
    #expect(figures.milliseconds == 6_000)
  }

  @Test("credits are those of all tokens at the price of the key")
  func credits() throws {
    let request = try #require(question)
    let paid = try price("m", input: 1_000_000, output: 2_000_000)
    let figures = PlanFigures(of: drafts(), for: request, hosts: [], price: paid)
    let cost = figures.usage.promptTokens + 2 * figures.usage.completionTokens
    #expect(figures.credits == MicroCredits(Int64(cost)))
    let direct = PlanFigures(directlyFor: request, model: "m", hosts: [], price: paid)
    #expect(direct.credits == MicroCredits(Int64(direct.usage.promptTokens + 600)))
  }

  /// Lets the planner expand a plan as far as it can.
  private func grown(_ pattern: PatternName, query: String) throws -> (first: Plan, last: Plan) {
    let request = PlanRequest(
      pattern: pattern.rawValue, query: query, rounds: 2, seed: 7, available: ["m"],
      hosts: hosts)
    let first = try makePlan(request, id: "p")
    var plan = first
    let specialists = (1...6).map {
      #"{"name":"s\#($0)","role":"research","brief":"Part \#($0)."}"#
    }
    while let task = plan.tasks.first(where: { $0.expansion != nil }) {
      let output =
        switch task.expansion ?? "" {
        case "maestro-team": "{\"specialists\":[\(specialists.joined(separator: ","))]}"
        case "maestro-review": #"{"verdict":"repair","issues":["It is wrong."]}"#
        default: ""
        }
      // Answers without a word in common lead to another round.
      let texts = [
        "red apples", "green pears", "blue plums", "old chairs", "new tables", "wet sand",
      ]
      let inputs = task.inputs.enumerated().map {
        TaskOrder.NamedInput(name: $1.name, text: texts[($0 + plan.expansions) % texts.count])
      }
      let sub = expandPlan(
        ExpandRequest(
          plan: plan, task: task.id, output: output, inputs: inputs, request: request))
      plan = try plan.splicing(sub, at: task.id)
    }
    return (first, plan)
  }

  @Test("a plan that grows has as many calls as announced at most")
  func grows() throws {
    for (pattern, query) in [
      (PatternName.debate, "Compare cats and dogs as pets for a family."),
      (.maestro, "Plan a garden."),
    ] {
      let client = try parse(
        #"{"model":"\#(pattern.rawValue)","tutti":{"rounds":2},\#(hello)}"#)
      let (first, last) = try grown(pattern, query: query)
      let figures = PlanFigures(of: first, for: client, hosts: [], price: nil)
      let calls = last.tasks.count { !$0.merge.isMechanical }
      #expect(figures.grows && figures.mostCalls == calls, "\(pattern): \(last.tasks.map(\.id))")
    }
    let fixed = PlanFigures(of: drafts(), for: try #require(question), hosts: [], price: nil)
    #expect(!fixed.grows && fixed.mostCalls == 3)
  }

  @Test("a split whose parts a model names has as many calls as announced at most")
  func proposal() throws {
    let client = try parse(#"{"model":"tutti/decompose",\#(hello)}"#)
    var plan = drafts()
    plan.pattern = PatternName.decompose.rawValue
    plan.tasks = [PlanTask(id: "parts", role: .coordinator, expansion: "split-parts")]
    plan.sink = "parts"
    let figures = PlanFigures(of: plan, for: client, hosts: [], price: nil)
    #expect(figures.calls == 1 && figures.mostCalls == 10)
  }

  @Test("a direct answer is one call, limited by the request")
  func direct() throws {
    let figures = PlanFigures(
      directlyFor: try #require(question), model: "m", hosts: hosts, price: nil)
    #expect(figures.calls == 1 && figures.usage.completionTokens == 300)
    #expect(figures.milliseconds == 3_500)
  }
}
