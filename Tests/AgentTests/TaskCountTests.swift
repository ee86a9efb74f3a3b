import ClusterModel
import Testing

@testable import AgentKit

@Suite("Tasks that an agent runs at once")
struct TaskCountTests {
  /// Begins as many tasks as may run now.
  private func fill(_ tasks: inout TaskCount) -> Int {
    while tasks.begin() {}
    return tasks.running
  }

  @Test("a limit that admins set applies to the next tasks, and its removal restores the own one")
  func overrides() {
    var tasks = TaskCount(configured: 1)
    #expect(fill(&tasks) == 1)
    var overrides = RuntimeOverrides()
    overrides.set(.agentTasks, to: .integer(3))
    tasks.apply(overrides)
    #expect(fill(&tasks) == 3)
    tasks.apply(.none)
    for _ in 0..<2 { tasks.end() }
    #expect(fill(&tasks) == 1)
    tasks.end()
    #expect(fill(&tasks) == 1)
  }
}
