import ClusterModel
import InferenceCore
import Money
import Testing

@testable import GatewayCore

@Suite("Credible token counts")
struct CredibleUsageTests {
  private static func summary(_ prompt: Int, _ completion: Int) -> InferenceSummary {
    InferenceSummary(
      host: "h", model: "m", usage: Usage(promptTokens: prompt, completionTokens: completion),
      finishReason: "stop", firstToken: .zero, total: .seconds(1), attempts: [])
  }

  @Test("a host is not paid for more tokens than the request can have")
  func falseCounts() throws {
    let bounds = try Sample.request(#""max_tokens":100,"n":2,"#).bounds(
      models: ["m"], table: Sample.hosts(context: 8_192))
    let claimed = Self.summary(Usage.mostTokens, Usage.mostTokens)
    #expect(bounds.credible(claimed, tokens: 40).usage.promptTokens == 4 * bounds.prompt)
    #expect(bounds.credible(claimed, tokens: 40).usage.completionTokens == 80)
    #expect(bounds.credible(claimed, tokens: nil).usage.completionTokens == 200)
    let vectors = try Sample.request("", endpoint: .embeddings).bounds(
      models: ["m"], table: Sample.hosts(context: 512))
    #expect(vectors.credible(claimed, tokens: nil).usage.completionTokens == 0)
  }

  /// A plan of two tasks that ended with these counts; the first one may write 50 tokens.
  private static func trace(_ usage: Usage) -> PlanTrace {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble",
        tasks: [
          PlanTask(id: "a", role: .research, maxTokens: 50), PlanTask(id: "b", role: .reasoning),
        ], sink: "b", seed: 1, deadline: .seconds(9)))
    for task in ["a", "b"] as [TaskID] {
      trace.record(
        .ended(
          TaskEnded(
            task: task, role: .research, agent: "x", status: .done,
            report: TaskReport(
              host: "h", model: "m", usage: usage, firstTokenMilliseconds: 1,
              totalMilliseconds: 2, finishReason: "stop", output: "o"))))
    }
    return trace
  }

  @Test("a host is not paid for more tokens than a task of a plan can have")
  func falseCountsOfPlans() throws {
    let bounds = RequestBounds(plan: try Sample.request(""))
    let claimed = Self.trace(
      Usage(promptTokens: Usage.mostTokens, completionTokens: Usage.mostTokens))
    let usages = claimed.tasks.map { bounds.credible($0, of: claimed.plan, tokens: 400) }
    #expect(usages.map(\.completionTokens) == [100, 400])
    #expect(usages.map(\.promptTokens) == [800, 800])
    let most = bounds.prompt + bounds.answer
    let unlimited = bounds.credible(claimed.tasks[1], of: claimed.plan, tokens: nil)
    #expect(unlimited.completionTokens == most && unlimited.promptTokens == 2 * most)
    let price = try Sample.requestPrice(["m": Sample.price(1_000_000, 1_000_000)])
    let bill = RequestBill(
      plan: claimed, model: "tutti/ensemble", written: nil, price: price, hold: MicroCredits(.max)
    ) { bounds.credible($0, of: claimed.plan, tokens: 400) }
    #expect(bill.answers.map(\.usage.completion) == [100, 400])
    #expect(bill.answers.flatMap(\.attempts).map(\.usage.completion) == [100, 400])
  }

  @Test("a plan uses up limits by its credible counts, and by the text that the client received")
  func limitsOfPlans() throws {
    let bounds = RequestBounds(plan: try Sample.request(""))
    let most = Usage(promptTokens: Usage.mostTokens, completionTokens: Usage.mostTokens)
    let claimed = Self.trace(most)
    #expect(
      bounds.credible(claimed, written: 9, tokens: 400)
        == Usage(promptTokens: 1_600, completionTokens: 500))
    let counted = Self.trace(Usage(promptTokens: 90, completionTokens: 60))
    #expect(bounds.credible(counted, written: 9, tokens: 400) == counted.usage)
    let running = PlanTrace(counted.plan)
    #expect(bounds.credible(running, written: 0, tokens: 400) == .zero)
    #expect(bounds.credible(running, written: 9, tokens: 400).completionTokens == 9)
  }

  @Test("a request without a price uses up limits by its credible counts")
  func limitsOfFreeRequests() throws {
    let request = try Sample.request(#""max_tokens":100,"n":2,"#)
    let bounds = request.bounds(models: ["m"], table: Sample.hosts(context: 8_192))
    let most = Usage(promptTokens: Usage.mostTokens, completionTokens: Usage.mostTokens)
    #expect(request.credible(most).promptTokens == 4 * bounds.prompt)
    #expect(request.credible(most).completionTokens == 200)
    let possible = Usage(promptTokens: bounds.prompt, completionTokens: 150)
    #expect(request.credible(possible) == possible)
    // Without a stated limit, an answer may be longer than the one that money is held for.
    let unstated = try Sample.request("")
    #expect(unstated.credible(most).completionTokens == Usage.mostTokens)
    #expect(unstated.usage(ofPart: 0) == .zero)
    #expect(unstated.usage(ofPart: 7).completionTokens == 7)
    #expect(unstated.usage(ofPart: 7).promptTokens > 0)
  }

  @Test("counts within the limits of a plan's tasks stay")
  func possibleCountsOfPlans() throws {
    let bounds = RequestBounds(plan: try Sample.request(""))
    let counted = Self.trace(Usage(promptTokens: 90, completionTokens: 60))
    for line in counted.tasks {
      #expect(bounds.credible(line, of: counted.plan, tokens: 400) == line.usage)
    }
  }

  @Test("a prompt that is cut to a credible length has no more cached tokens than it has tokens")
  func falseCachedCounts() throws {
    let request = try Sample.request("")
    let bounds = request.bounds(models: ["m"], table: Sample.hosts(context: 8_192))
    let most = 4 * bounds.prompt
    func usage(_ prompt: Int, _ cached: Int) -> Usage {
      Usage(promptTokens: prompt, cachedTokens: cached, completionTokens: 1)
    }
    var claimed = Self.summary(0, 0)
    for (prompt, cached) in [(most + 9, most + 5), (most + 9, most - 1), (most, 3)] {
      let expected = usage(min(prompt, most), min(cached, most))
      claimed.usage = usage(prompt, cached)
      #expect(bounds.credible(claimed, tokens: nil).usage == expected)
      #expect(request.credible(claimed.usage) == expected)
    }
    let plan = RequestBounds(plan: request)
    let trace = Self.trace(usage(.max, .max))
    let credible = plan.credible(trace.tasks[0], of: trace.plan, tokens: 400)
    #expect(credible == usage(800, 800))
    let highest = Int64(Usage.mostTokens)
    #expect(
      try TokenUsage(usage(.max, .max))
        == TokenUsage(prompt: highest, cached: highest, completion: 1))
    for (prompt, cached) in [(Int.max, 3), (5, .max), (-5, 3), (.min, .max), (5, .min)]
      as [(Int, Int)]
    {
      let billed = TokenUsage(usage(prompt, cached))
      #expect(billed.prompt == Int64(min(max(0, prompt), Usage.mostTokens)))
      #expect(billed.cached == min(billed.prompt, Int64(max(0, cached))))
    }
  }

  @Test("counts within the request's limits stay")
  func possibleCounts() throws {
    let bounds = try Sample.request(#""max_tokens":100,"#).bounds(
      models: ["m"], table: Sample.hosts(context: 8_192))
    let counted = Self.summary(2 * bounds.prompt, 100)
    #expect(bounds.credible(counted, tokens: 100) == counted)
  }
}
