import ClusterModel
import ClusterTesting
import Testing

@Suite("Plan expansion")
struct PlanExpansionTests {
  /// Shape: `before` → `asks` → `reader` → `sink`, `before` → `reader`, and `beside` → `sink`.
  /// The task `asks` expands.
  private static let plan = Plan(
    id: "p", pattern: "test",
    tasks: [
      PlanTask(id: "before", role: .research),
      task("asks", reading: ["before"], expansion: "test"),
      task("reader", reading: ["asks", "before"]),
      PlanTask(id: "beside", role: .research),
      task("sink", reading: ["reader", "beside"]),
    ], sink: "sink", seed: 1, deadline: .seconds(60))

  private static func task(
    _ id: TaskID, reading sources: [TaskID] = [], expansion: String? = nil
  ) -> PlanTask {
    PlanTask(
      id: id, role: .reasoning, inputs: sources.map { Edge(from: $0, name: $0.name) },
      merge: sources.isEmpty ? .none : .synthesise, expansion: expansion)
  }

  private static func refusal(of sub: SubPlan, at task: TaskID, in plan: Plan) -> InvalidPlan? {
    do throws(InvalidPlan) {
      _ = try plan.splicing(sub, at: task)
      return nil
    } catch {
      return error
    }
  }

  // MARK: - Splicing

  @Test("tasks that read the expanded task read the sub-plan's output under the same name")
  func readersRedirected() throws {
    let sub = SubPlan(
      tasks: [Self.task("n1", reading: ["asks"]), Self.task("n2", reading: ["n1", "beside"])],
      output: "n2")
    let plan = try Self.plan.splicing(sub, at: "asks")
    #expect(
      plan.tasks.map(\.id) == ["before", "asks", "reader", "beside", "sink", "n1", "n2"])
    #expect(
      plan.tasks[2].inputs
        == [Edge(from: "n2", name: "asks"), Edge(from: "before", name: "before")])
    // New tasks read the expanded task itself, not its replacement.
    #expect(plan.tasks[5].inputs == [Edge(from: "asks", name: "asks")])
    #expect(plan.tasks[0] == Self.plan.tasks[0])
    #expect(plan.tasks[3...4] == Self.plan.tasks[3...4])
    #expect(plan.sink == "sink")
  }

  @Test("of a sink, the sub-plan's output is the new sink")
  func sinkReplaced() throws {
    var plan = Plan.fan(2)
    plan.tasks[2].expansion = "test"
    let sub = SubPlan(tasks: [Self.task("n", reading: ["sink", "t0"])], output: "n")
    let spliced = try plan.splicing(sub, at: "sink")
    #expect(spliced.sink == "n")
    #expect(spliced.tasks[3].inputs.map(\.from) == ["sink", "t0"])
  }

  @Test("the task expands no more, the expansion is counted, all else of the plan is as it was")
  func expansionCleared() throws {
    let sub = SubPlan(tasks: [Self.task("n", reading: ["asks"], expansion: "again")], output: "n")
    let spliced = try Self.plan.splicing(sub, at: "asks")
    #expect(spliced.tasks[1].expansion == nil)
    #expect(spliced.tasks[5].expansion == "again")
    #expect(spliced.expansions == 1)
    var same = spliced
    same.tasks = Self.plan.tasks
    same.expansions = 0
    #expect(same == Self.plan)
    #expect(Self.plan.tasks[1].expansion == "test")
  }

  @Test("if no tasks follow, the task's own output is kept")
  func nothing() throws {
    var expected = Self.plan
    expected.tasks[1].expansion = nil
    expected.expansions = 1
    #expect(try Self.plan.splicing(.nothing(after: "asks"), at: "asks") == expected)
  }

  @Test("later tasks need not read the expanded task or its inputs, which have run")
  func taskUsedUp() throws {
    let spliced = try Self.plan.splicing(
      SubPlan(tasks: [Self.task("n")], output: "n"), at: "asks")
    #expect(spliced.tasks[2].inputs.map(\.from) == ["n", "before"])
    // The spliced plan also passes a second validation.
    try PlanValidation.validate(spliced)
    var never = spliced
    never.expansions = 0
    let error = #expect(throws: InvalidPlan.self) { try PlanValidation.validate(never) }
    #expect(error?.rule == .unusedTask && error?.task == "asks")
  }

  // MARK: - Refusals

  @Test("a new task that needs a later task is a cycle")
  func cycle() {
    let sub = SubPlan(tasks: [Self.task("n", reading: ["reader"])], output: "n")
    #expect(Self.refusal(of: sub, at: "asks", in: Self.plan)?.rule == .cycle)
    let loop = SubPlan(
      tasks: [Self.task("n1", reading: ["n2"]), Self.task("n2", reading: ["n1"])], output: "n2")
    #expect(Self.refusal(of: loop, at: "asks", in: Self.plan)?.rule == .cycle)
  }

  @Test("a plan grows to 64 tasks; the 65th is refused")
  func tooManyTasks() throws {
    func sub(_ count: Int) -> SubPlan {
      // Four groups of at most 16, because a task reads no more than 16 others.
      let leaves = (0..<count - 5).map { Self.task(TaskID("n\($0)")) }
      let groups = (0..<4).map { group in
        Self.task(
          TaskID("g\(group)"),
          reading: leaves.indices.filter { $0 % 4 == group }.map { leaves[$0].id })
      }
      return SubPlan(
        tasks: leaves + groups + [Self.task("all", reading: groups.map(\.id))], output: "all")
    }
    let room = PlanValidation.maximumTasks - Self.plan.tasks.count
    let full = try Self.plan.splicing(sub(room), at: "asks")
    #expect(full.tasks.count == 64)
    #expect(Self.refusal(of: sub(room + 1), at: "asks", in: Self.plan)?.rule == .tooManyTasks)
  }

  @Test("a plan is expanded 16 times; the 17th is refused")
  func tooManyExpansions() throws {
    // The same task expands again and again, and only the count of expansions can stop it.
    var plan = Self.plan
    for _ in 0..<16 {
      plan.tasks[1].expansion = "again"
      plan = try plan.splicing(.nothing(after: "asks"), at: "asks")
    }
    #expect(plan.expansions == PlanValidation.maximumExpansions)
    let error = Self.refusal(of: .nothing(after: "asks"), at: "asks", in: plan)
    #expect(error?.rule == .tooManyExpansions && error?.task == "asks")
    #expect(error?.failure.code == .invalidPlan)
  }

  @Test("an output or a task that is not there is refused by name")
  func unknown() {
    let sub = SubPlan(tasks: [Self.task("n", reading: ["asks"])], output: "nobody")
    let error = Self.refusal(of: sub, at: "asks", in: Self.plan)
    #expect(error?.rule == .unknownOutput && error?.task == "asks")
    #expect(error?.message.contains("nobody") == true)
    // The output must be a task of the sub-plan, not of the plan.
    let foreign = SubPlan(tasks: [Self.task("n", reading: ["asks"])], output: "beside")
    #expect(Self.refusal(of: foreign, at: "asks", in: Self.plan)?.rule == .unknownOutput)
    let nowhere = Self.refusal(of: .nothing(after: "gone"), at: "gone", in: Self.plan)
    #expect(nowhere?.rule == .unknownOutput && nowhere?.task == "gone")
  }

  @Test("a new task may not take an old one's id, read the sink, or lead nowhere")
  func badTasks() {
    func rule(_ tasks: [PlanTask]) -> InvalidPlan.Rule? {
      Self.refusal(of: SubPlan(tasks: tasks, output: "n"), at: "asks", in: Self.plan)?.rule
    }
    let good = Self.task("n", reading: ["asks"])
    #expect(rule([good]) == nil)
    #expect(rule([good, Self.task("beside")]) == .duplicateTask)
    #expect(rule([Self.task("n", reading: ["sink"])]) == .sinkIsRead)
    #expect(rule([good, Self.task("idle")]) == .unusedTask)
    #expect(rule([Self.task("n", reading: ["nobody"])]) == .unknownInput)
  }

  @Test("a sub-plan that makes the plan too deep is refused")
  func tooDeep() throws {
    func chain(_ count: Int) -> SubPlan {
      SubPlan(
        tasks: (0..<count).map {
          Self.task(TaskID("n\($0)"), reading: [$0 == 0 ? "asks" : TaskID("n\($0 - 1)")])
        }, output: TaskID("n\(count - 1)"))
    }
    // `before` and `asks` come before the chain, `reader` and `sink` after it.
    let room = PlanValidation.maximumDepth - 4
    _ = try Self.plan.splicing(chain(room), at: "asks")
    #expect(Self.refusal(of: chain(room + 1), at: "asks", in: Self.plan)?.rule == .tooDeep)
  }

  // MARK: - Random plans

  @Test("random sub-plans are spliced whole or refused, and a spliced plan has an order to run in")
  func random() {
    var spliced = 0
    for seed in UInt64(0)..<1_000 {
      var rng = SeededGenerator(seed: seed)
      let plan = Plan.random(using: &rng, atMost: 8)
      guard let at = plan.tasks.randomElement(using: &rng) else { continue }
      let count = Int.random(in: 1...6, using: &rng)
      let known = plan.tasks.map(\.id) + (0..<count).map { TaskID("n\($0)") }
      let tasks = (0..<count).map { index in
        let sources = Set((0..<2).compactMap { _ in known.randomElement(using: &rng) })
        return Self.task(TaskID("n\(index)"), reading: sources.sorted())
      }
      let sub = SubPlan(tasks: tasks, output: TaskID("n\(count - 1)"))
      guard let result = try? plan.splicing(sub, at: at.id) else { continue }
      spliced += 1
      #expect(result.tasks.count == plan.tasks.count + count, "seed \(seed)")
      #expect((try? PlanValidation.validate(result)) != nil, "seed \(seed)")
      var settled: Set<TaskID> = []
      while let next = result.tasks.first(where: { task in
        !settled.contains(task.id) && task.inputs.allSatisfy { settled.contains($0.from) }
      }) {
        settled.insert(next.id)
      }
      #expect(settled.count == result.tasks.count, "seed \(seed)")
    }
    #expect(spliced > 50, "too few were spliced to say anything")
  }
}
