import ClusterModel
import PlannerCore
import Testing

@Suite("Plans for people")
struct PlanTextTests {
  static func plan(_ names: [String]) -> Plan {
    let tasks = names.map { PlanTask(id: TaskID($0), role: .research, onFailure: .skip) }
    let answer = PlanTask(
      id: "answer", role: .coordinator, instruction: "Merge\nthem.",
      inputs: tasks.map { Edge(from: $0.id, name: "Draft of \($0.id)") }, merge: .synthesise,
      quorum: 1)
    return Plan(
      id: "p", pattern: PatternName.ensemble.rawValue, tasks: tasks + [answer], sink: "answer",
      seed: 1,
      deadline: .seconds(9), reason: "it was asked for")
  }

  @Test("as text it is a tree from the answer down")
  func tree() {
    #expect(
      Self.plan(["a", "b"]).text == """
        tutti/ensemble: 3 tasks
        why: it was asked for
        answer: coordinator, synthesise · needs 1 of 2 “Merge them.”
        ├─ a: research · on failure: skip
        └─ b: research · on failure: skip

        """)
  }

  @Test("a task that is read twice is shown once")
  func shared() throws {
    var plan = Self.plan(["a", "b"])
    plan.tasks[1].inputs = [Edge(from: "a", name: "Before")]
    plan.tasks[1].merge = .synthesise
    #expect(plan.text.contains("   └─ a (see above)"))
    #expect(plan.text.components(of: "a: research").count == 2)
  }

  @Test("as a graph, names cannot break out of their quotes")
  func escaping() {
    let nasty = "x\"]; evil[\"\\ <b>\n} -->"
    let plan = Self.plan([nasty])
    let mermaid = plan.mermaid.split(separator: "\n")
    #expect(mermaid.count == 4)
    #expect(mermaid[1].hasPrefix("  t0[\"") && mermaid[1].hasSuffix("\"]"))
    #expect(!mermaid[1].dropFirst(6).dropLast(2).contains("\""))
    let dot = plan.graphviz
    #expect(dot.contains("t0 [label=\"x\\\"]; evil[\\\"\\\\ <b> } -->\\nresearch\"];"))
    #expect(dot.hasPrefix("digraph plan {\n") && dot.hasSuffix("}\n"))
  }

  @Test("a plan with a circle, or with 64 tasks that all read each other, is shown all the same")
  func circles() {
    var plan = Self.plan(["a", "b"])
    plan.tasks[0].inputs = [Edge(from: "b", name: "b")]
    plan.tasks[1].inputs = [Edge(from: "a", name: "a")]
    #expect(plan.text.contains("see above"))
    var wide = Self.plan((0..<63).map { "t\($0)" })
    for index in 0..<63 {
      wide.tasks[index].inputs = (0..<index).map { Edge(from: TaskID("t\($0)"), name: "n\($0)") }
    }
    #expect(wide.text.split(separator: "\n").count < 3_000)
  }

  @Test("every plan of every pattern can be shown")
  func everyPattern() throws {
    for pattern in PatternName.allCases {
      let plan = try Requests.plan(Requests.request(pattern, DecomposeTests.questions))
      for task in plan.tasks {
        #expect(plan.text.contains(task.id.name))
        #expect(plan.graphviz.contains(task.id.name))
        #expect(plan.mermaid.contains(task.id.name))
      }
    }
  }
}

extension String {
  fileprivate func components(of part: String) -> [String] {
    var pieces: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      pieces.append(String(rest[..<range.lowerBound]))
      rest = rest[range.upperBound...]
    }
    return pieces + [String(rest)]
  }
}
