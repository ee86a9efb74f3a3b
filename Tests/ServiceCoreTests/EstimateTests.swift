import ClusterModel
import ClusterTesting
import GatewayCore
import PlannerCore
import Testing
import Text

private func at(minutes: Double) -> Instant { Instant(sinceStart: .seconds(60 * minutes)) }

/// The trace that a gateway records of a plan, by default of one without trouble.
private func told(
  _ plan: Plan, tokens: Int, finish: String = "stop", attempt: Int = 1,
  status: TaskStatus = .done, after trace: PlanTrace? = nil
) -> PlanTrace {
  var trace = trace ?? PlanTrace(plan)
  let writers = plan.tasks.filter { !$0.merge.isMechanical }
  for (place, task) in writers.enumerated() {
    trace.record(.started(task: task.id, role: task.role, agent: "agent", attempt: attempt))
    let share = tokens / writers.count + (place < tokens % writers.count ? 1 : 0)
    let usage = Usage(promptTokens: 40, completionTokens: share)
    let report = TaskReport(
      host: "h", model: "m", usage: usage, firstTokenMilliseconds: 100, totalMilliseconds: 1_000,
      finishReason: finish, output: "text")
    trace.record(
      .ended(
        TaskEnded(
          task: task.id, role: task.role, agent: "agent", status: place == 0 ? status : .done,
          report: report)))
  }
  for task in plan.tasks where task.merge.isMechanical {
    trace.record(.ended(TaskEnded(task: task.id, role: task.role, agent: "", status: .done)))
  }
  trace.record(
    .finished(
      PlanFinished(
        finishReason: finish, usage: Usage(promptTokens: 40, completionTokens: tokens),
        sinkUsage: .zero)))
  return trace
}

@Suite("Outcome of an estimate")
struct EstimateOutcomeTests {
  /// A plan with two estimates. A direct answer has 400 tokens in 10 s, 9 s of them writing. A
  /// split has 420 tokens in 5 s, 4 s of them writing.
  private static func plan(_ decision: PlanEstimate.Decision, parts: Int = 4) -> Plan {
    let ids = (1...parts).map { TaskID("part-\($0)") }
    var tasks = ids.map { PlanTask(id: $0, role: .research, instruction: "a part") }
    if parts > 1 {
      tasks.append(
        PlanTask(
          id: "answer", role: .coordinator,
          inputs: ids.map { Edge(from: $0, name: $0.name) }, merge: .concatenate))
    }
    return Plan(
      id: "p", pattern: "tutti/decompose", tasks: tasks, sink: tasks.last?.id ?? "answer", seed: 1,
      deadline: .seconds(60), estimate: estimate(decision))
  }

  private static func estimate(_ decision: PlanEstimate.Decision) -> PlanEstimate {
    PlanEstimate(
      decision: decision,
      direct: .init(milliseconds: 10_000, writingMilliseconds: 9_000, tokens: 400),
      split: .init(milliseconds: 5_000, writingMilliseconds: 4_000, tokens: 420))
  }

  private static func outcome(
    _ trace: PlanTrace, seconds: Double, dispatches: Int = 1,
    correction: EstimateCorrection = .none
  ) -> EstimateOutcome? {
    EstimateOutcome(
      trace, took: .seconds(seconds), dispatches: dispatches, correction: correction)
  }

  @Test("how long an answer got is taken out before the speed is judged")
  func scaled() throws {
    // The answer has half the expected tokens, and takes the time expected for so many.
    let short = try #require(
      Self.outcome(told(Self.plan(.split), tokens: 210), seconds: 3))
    #expect(short.lesson == .init(isSplit: true, ratio: 1, length: 0.6))
    #expect(short.verdict == .right)
    // The answer has the expected number of tokens, although a limit cut it. Only the number
    // matters.
    let cut = try #require(
      Self.outcome(told(Self.plan(.split), tokens: 420, finish: "length"), seconds: 10))
    #expect(cut.lesson?.ratio == 2)
    // A direct answer has three times the expected tokens, and takes twice the time expected for
    // so many.
    let long = try #require(
      Self.outcome(told(Self.plan(.direct, parts: 1), tokens: 1_200), seconds: 56))
    #expect(long.lesson == .init(isSplit: false, ratio: 2, length: 2.8))
  }

  @Test("a split was right if a direct answer of that length would have taken longer")
  func splitVerdict() throws {
    let trace = told(Self.plan(.split), tokens: 420)
    #expect(Self.outcome(trace, seconds: 9.9)?.verdict == .right)
    #expect(Self.outcome(trace, seconds: 10.1)?.verdict == .wrong)
    // Direct answers are already known to take twice as long as estimated.
    let slow = EstimateCorrection(directPercent: 200, splitPercent: 100)
    #expect(Self.outcome(trace, seconds: 19, correction: slow)?.verdict == .right)
  }

  @Test("a direct answer was right unless a split would have saved what makes it worth its calls")
  func directVerdict() throws {
    let trace = told(Self.plan(.direct, parts: 1), tokens: 400)
    #expect(Self.outcome(trace, seconds: 6)?.verdict == .right)
    #expect(Self.outcome(trace, seconds: 7)?.verdict == .wrong)
    let slow = EstimateCorrection(directPercent: 100, splitPercent: 200)
    #expect(Self.outcome(trace, seconds: 11, correction: slow)?.verdict == .right)
  }

  @Test("a plan with an unusual course is not judged, and nothing is learned from it")
  func unusual() throws {
    let plan = Self.plan(.split)
    for (name, trace, dispatches) in [
      ("a lost agent", told(plan, tokens: 420, attempt: 2), 1),
      ("a lost dispatcher", told(plan, tokens: 420), 2),
      ("a part left out", told(plan, tokens: 420, status: .skipped), 1),
      ("a draft stood in", told(plan, tokens: 420, status: .degraded), 1),
      ("another kind of end", told(plan, tokens: 420, finish: "tool_calls"), 1),
      ("hardly a word", told(plan, tokens: 9), 1),
      ("nobody counted", told(plan, tokens: 0), 1),
      ("a book", told(plan, tokens: 9_000), 1),
    ] {
      let outcome = try #require(Self.outcome(trace, seconds: 20, dispatches: dispatches))
      #expect(outcome.verdict == .unknown && outcome.lesson == nil, "\(name)")
    }
    var unfinished = PlanTrace(plan)
    unfinished.record(.started(task: "part-1", role: .research, agent: "a", attempt: 1))
    #expect(Self.outcome(unfinished, seconds: 20) == nil)
    var nothing = plan
    nothing.estimate = nil
    #expect(Self.outcome(told(nothing, tokens: 420), seconds: 20) == nil)
  }

  @Test("a model that was asked for parts and named none made the answer later for nothing")
  func proposal() throws {
    var plan = Self.plan(.proposal, parts: 1)
    plan.tasks[0].expansion = "split-parts"
    func expanded(_ tasks: [PlanTask], output: TaskID) throws -> EstimateOutcome {
      var trace = PlanTrace(plan)
      trace.record(.expanded(task: "part-1", SubPlan(tasks: tasks, output: output)))
      #expect(trace.obstacle == nil)
      return try #require(
        Self.outcome(told(trace.plan, tokens: 420, after: trace), seconds: 5))
    }
    let none = try expanded([PlanTask(id: "answer", role: .research)], output: "answer")
    #expect(none.verdict == .wrong && none.lesson == nil)
    let parts = [
      PlanTask(id: "a", role: .research), PlanTask(id: "b", role: .research),
      PlanTask(
        id: "answer", role: .coordinator,
        inputs: [Edge(from: "a", name: "a"), Edge(from: "b", name: "b")], merge: .concatenate),
    ]
    let split = try expanded(parts, output: "answer")
    #expect(split.verdict == .right && split.lesson == .init(isSplit: true, ratio: 1))
  }

  @Test("the trace has both predictions, what they were corrected to, and what came of them")
  func shown() throws {
    let trace = told(Self.plan(.split), tokens: 420)
    let correction = EstimateCorrection(directPercent: 100, splitPercent: 150)
    let outcome = try #require(Self.outcome(trace, seconds: 8, correction: correction))
    let json = String(
      decoding: TraceExtension.json(
        TraceID(high: 0, low: 1), trace, .init(), estimate: outcome
      ).encoded, as: UTF8.self)
    #expect(
      json.contains(
        #""estimate":{"decision":"split","#
          + #""direct":{"predicted_ms":10000,"corrected_ms":10000,"tokens":400},"#
          + #""split":{"predicted_ms":5000,"corrected_ms":7500,"tokens":420},"#
          + #""took_ms":8000,"tokens":420,"outcome":"right"}"#), "\(json)")
    #expect(
      outcome.text
        == "split: 8000 ms for 420 tokens; expected 5000 ms for 420, corrected 7500 ms")
  }
}

@Suite("Correction of estimates")
struct EstimateMemoryTests {
  private static func split(_ ratio: Double) -> EstimateOutcome.Lesson {
    .init(isSplit: true, ratio: ratio)
  }

  @Test("splits that always take twice as long are soon estimated so, and direct answers are not")
  func converges() {
    var memory = EstimateMemory()
    #expect(memory.correction(at: .zero) == .none)
    var seen: [Int] = []
    for n in 0..<20 {
      memory.learn(Self.split(2), now: at(minutes: Double(n)))
      seen.append(memory.correction(at: at(minutes: Double(n))).splitPercent)
    }
    #expect(seen.first == 159 && seen == seen.sorted() && (185...200).contains(seen[19]), "\(seen)")
    #expect(memory.correction(at: at(minutes: 20)).directPercent == 100)
  }

  @Test("hosts faster than estimated count as faster for splits, until a split shows otherwise")
  func fasterHosts() {
    var memory = EstimateMemory()
    for n in 0..<6 { memory.learn(.init(isSplit: false, ratio: 0.7), now: at(minutes: Double(n))) }
    let direct = memory.correction(at: at(minutes: 6))
    #expect((70...75).contains(direct.directPercent))
    #expect(direct.splitPercent == direct.directPercent)
    for n in 6..<12 { memory.learn(Self.split(1.4), now: at(minutes: Double(n))) }
    let both = memory.correction(at: at(minutes: 12))
    #expect((70...76).contains(both.directPercent) && (120...140).contains(both.splitPercent))
  }

  @Test("splits that write less than direct answers are expected to, whatever all answers write")
  func lengths() {
    var memory = EstimateMemory()
    // All answers have half the expected length, so the cause is the questions.
    for n in 0..<6 {
      memory.learn(.init(isSplit: n % 2 == 0, ratio: 1, length: 0.5), now: at(minutes: Double(n)))
    }
    #expect((95...105).contains(memory.correction(at: at(minutes: 6)).splitPercent))
    // Only splits have half the expected length.
    for n in 6..<16 {
      memory.learn(
        .init(isSplit: n % 2 == 0, ratio: 1, length: n % 2 == 0 ? 0.5 : 1),
        now: at(minutes: Double(n)))
    }
    let correction = memory.correction(at: at(minutes: 16))
    #expect((60...95).contains(correction.splitPercent), "\(correction)")
    #expect((95...105).contains(correction.directPercent), "\(correction)")
  }

  @Test("one split shows little about lengths, however many direct answers are short")
  func oneLength() {
    var memory = EstimateMemory()
    memory.learn(.init(isSplit: true, ratio: 1, length: 1), now: .zero)
    for n in 1..<20 {
      memory.learn(.init(isSplit: false, ratio: 1, length: 0.5), now: at(minutes: Double(n)))
    }
    let correction = memory.correction(at: at(minutes: 20))
    #expect((95...125).contains(correction.splitPercent), "\(correction)")
  }

  @Test("twice as long and half as long cancel out")
  func cancels() {
    var memory = EstimateMemory()
    for n in 0..<20 {
      memory.learn(Self.split(n % 2 == 0 ? 2 : 0.5), now: at(minutes: Double(n) / 10))
    }
    #expect((90...110).contains(memory.correction(at: at(minutes: 2)).splitPercent))
  }

  @Test("one delayed answer changes the result of many only a little")
  func outlier() {
    var memory = EstimateMemory()
    for n in 0..<8 { memory.learn(Self.split(1), now: at(minutes: Double(n))) }
    memory.learn(Self.split(1_000), now: at(minutes: 8))
    #expect(memory.correction(at: at(minutes: 8)).splitPercent <= 110)
    var fresh = EstimateMemory()
    fresh.learn(Self.split(1_000), now: .zero)
    #expect(fresh.correction(at: .zero).splitPercent == 159, "nor does it alone say more")
  }

  @Test(
    "conditions that change are believed after some ten answers, however many there were before")
  func changes() {
    var memory = EstimateMemory()
    for n in 0..<1_000 { memory.learn(Self.split(1), now: at(minutes: Double(n) / 100)) }
    for n in 0..<12 { memory.learn(Self.split(2), now: at(minutes: 10 + Double(n) / 100)) }
    #expect(memory.correction(at: at(minutes: 11)).splitPercent > 150)
  }

  @Test("corrections fade, so that splits that were too slow are tried again")
  func forgets() {
    var memory = EstimateMemory()
    for n in 0..<10 { memory.learn(Self.split(2), now: at(minutes: Double(n))) }
    let after = [0.0, 30, 60, 120, 240, 480].map {
      memory.correction(at: at(minutes: 9 + $0)).splitPercent
    }
    #expect(after == after.sorted(by: >) && after[0] > 180 && after[5] <= 101, "\(after)")
  }

  @Test("no row of answers takes a correction out of its bounds", arguments: 0..<200)
  func bounds(seed: Int) {
    var rng = SeededGenerator(seed: UInt64(seed))
    var memory = EstimateMemory()
    var minutes = 0.0
    for _ in 0..<200 {
      let odd: [Double] = [0, -1, .nan, .infinity, 1e-300, 1e300]
      let ratio =
        Int.random(in: 0..<4, using: &rng) == 0
        ? odd[Int.random(in: 0..<odd.count, using: &rng)]
        : Double.random(in: 0.001...(seed % 2 == 0 ? 1_000 : 2), using: &rng)
      minutes += Double.random(in: -5...30, using: &rng)
      memory.learn(
        .init(isSplit: Bool.random(using: &rng), ratio: ratio), now: at(minutes: max(0, minutes)))
      let correction = memory.correction(at: at(minutes: max(0, minutes)))
      #expect(EstimateCorrection.range.contains(correction.splitPercent))
      #expect(EstimateCorrection.range.contains(correction.directPercent))
    }
    var slow = EstimateMemory()
    for n in 0..<100 { slow.learn(Self.split(1_000), now: at(minutes: Double(n) / 10)) }
    #expect((330...400).contains(slow.correction(at: at(minutes: 10)).splitPercent))
  }

  @Test("a host is as fast as it was at its best of late, and slower only after a while")
  func best() {
    var memory = EstimateMemory()
    func rate(_ measured: Int, minutes: Double) -> Int {
      let host = HostFacts(id: "h", models: ["m"], rateMilli: measured)
      return memory.atTheirBest([host], now: at(minutes: minutes))[0].rateMilli
    }
    let rates = [
      rate(0, minutes: 0), rate(20_000, minutes: 0), rate(10_000, minutes: 1),
      rate(30_000, minutes: 2), rate(10_000, minutes: 62), rate(10_000, minutes: 300),
    ]
    // An unmeasured rate stays unknown. A best rate decays by about 0.6 % per minute.
    #expect(rates == [0, 20_000, 19_885, 30_000, 21_213, 10_000])
  }

  @Test("hosts that come and go are forgotten, but never those of the request")
  func manyHosts() {
    var memory = EstimateMemory()
    for n in 0..<1_000 {
      let hosts = ["fixed", "h\(n)"].map { HostFacts(id: HostID($0), models: [], rateMilli: 9_000) }
      _ = memory.atTheirBest(hosts, now: .zero)
    }
    let slower = HostFacts(id: "fixed", models: [], rateMilli: 1_000)
    let told = memory.atTheirBest([slower], now: .zero)
    #expect(told[0].rateMilli == 9_000)
  }
}

/// A planner, a gateway's memory, and hosts whose real speed is unknown to both.
private struct World {
  /// Whether the hosts share a processor, so that only one of them can write at full speed.
  var isShared: Bool
  var memory = EstimateMemory()
  /// The hosts' last measured rate.
  var rateMilli = 20_000
  var minutes = 0.0

  static let query = """
    Answer each of these in a paragraph:
    1. What is rain?
    2. What is wind?
    3. What is snow?
    4. What is fog?
    """

  /// - Parameters:
  ///   - length: factor of the expected number of tokens.
  ///   - delay: extra seconds.
  /// - Returns: whether the query was split.
  mutating func ask(length: Double = 1, delay: Double = 0) throws -> Bool {
    minutes += 0.5
    let now = at(minutes: minutes)
    let hosts = ["a", "b"].map {
      HostFacts(id: $0, models: ["m"], rateMilli: rateMilli, firstTokenMilliseconds: 300)
    }
    let facts = memory.atTheirBest(hosts, now: now)
    let correction = memory.correction(at: now)
    let request = PlanRequest(
      pattern: "tutti/auto", query: Self.query, seed: 1, available: ["m"], hosts: facts,
      correction: correction)
    let plan = try makePlan(request, id: "p")
    #expect(try makePlan(request, id: "p") == plan, "the same facts and correction, the same plan")
    let isSplit = plan.tasks.count > 1
    let estimate = try #require(plan.estimate)
    let tokens = Int(Double(estimate.taken.tokens) * length)
    let together = isSplit && !isShared ? 2.0 : 1
    let seconds = 0.4 + Double(tokens) / (20 * together) * (isSplit ? 1.05 : 1) + delay
    // If the hosts shared the processor, their measured rate is lower.
    rateMilli = isSplit && isShared ? 10_000 : 20_000
    let outcome = try #require(
      EstimateOutcome(
        told(plan, tokens: tokens), took: .seconds(seconds), dispatches: 1,
        correction: correction))
    if let lesson = outcome.lesson { memory.learn(lesson, now: now) }
    return isSplit
  }
}

@Suite("A split gate that learns")
struct LearningGateTests {
  @Test("two hosts that share a processor: after a few losses nothing is split any more")
  func shared() throws {
    var world = World(isShared: true)
    var decisions: [Bool] = []
    for _ in 0..<20 {
      let isSplit = try world.ask()
      decisions.append(isSplit)
    }
    let losses = decisions.count { $0 }
    #expect((1...4).contains(losses), "\(decisions)")
    #expect(decisions.prefix(losses).allSatisfy { $0 }, "\(decisions)")
    // After some hours the correction has expired, so a split is tried again.
    world.minutes += 360
    let again = try world.ask()
    #expect(again)
  }

  @Test("two hosts of their own go on being used, whatever lengths the answers have")
  func separate() throws {
    var world = World(isShared: false)
    var rng = SeededGenerator(seed: 11)
    for n in 0..<50 {
      let length = Double.random(in: 0.4...2, using: &rng)
      let isSplit = try world.ask(length: length)
      #expect(isSplit, "answer \(n)")
    }
  }

  @Test("one answer that was held up does not end splitting, not even the first")
  func heldUp() throws {
    var world = World(isShared: false)
    for n in 0..<12 {
      let isSplit = try world.ask(delay: n == 0 || n == 6 ? 60 : 0)
      #expect(isSplit, "answer \(n)")
    }
  }
}
