import ClusterModel
import DispatcherCore
import HostModel
import Synchronization
import Testing

@testable import DispatcherService

@Suite("Turns of tasks at hosts")
struct TaskAdmissionTests {
  private static func turns() -> TaskAdmission {
    let hosts = [("slow", 49.0), ("fast", 73.0)].map { id, rate in
      SchedulableHost(
        id: HostID(id), models: ["m"], slots: 1,
        speed: HostSpeed(tokensPerSecond: rate, firstToken: .milliseconds(50)))
    }
    let turns = TaskAdmission(limit: { _ in 8 }, hosts: { hosts })
    turns.reconsider()
    return turns
  }

  private let work = HostWork(models: ["m"], tokens: 100)

  @Test("a task that another's result makes ready finds that one's host free")
  func readyAfterResult() async {
    let turns = Self.turns()
    for _ in 0..<3 {
      let host = await turns.withHost(for: work, client: "c") { ($0.host, nil) }
      #expect(host == .some("fast"))
    }
  }

  @Test("a task that is cancelled while it waits gets no host and takes no slot")
  func cancelled() async {
    let turns = Self.turns()
    let waited = await turns.withHost(for: work, client: "c") { _ in
      let inner = await turns.withHost(for: work, client: "c") { _ in
        let third = await withTaskGroup(of: Bool?.self) { group in
          group.addTask { await turns.withHost(for: work, client: "c") { _ in (true, nil) } }
          group.cancelAll()
          return await group.next() ?? nil
        }
        return (third == nil, nil)
      }
      return (inner, nil)
    }
    #expect(waited == .some(true))
    let after = await turns.withHost(for: work, client: "c") { ($0.host, nil) }
    #expect(after == .some("fast"))
  }

  @Test("a task that waits for an agent begins when the limit is raised")
  func raisedLimit() async {
    let limit = Mutex(1)
    let turns = TaskAdmission(limit: { _ in limit.withLock(\.self) }, hosts: { [] })
    #expect(await turns.pass(.code, client: "a"))
    await withTaskGroup(of: Bool.self) { group in
      group.addTask { await turns.pass(.code, client: "b") }
      // If the limit changes before the second task waits, the task is admitted when it joins.
      limit.withLock { $0 = 2 }
      turns.reconsiderAgents()
      #expect(await group.next() == true)
    }
    turns.end(.code)
    turns.end(.code)
  }

  @Test("limits that were set at run time win over the configuration")
  func limits() {
    let configured = DispatcherLimits(plans: 10, tasks: 20)
    var overrides = RuntimeOverrides()
    #expect(configured.overridden(by: overrides) == configured)
    overrides.set(.dispatcherPlans, to: .integer(1))
    overrides.set(.dispatcherTasks, to: .integer(2))
    #expect(configured.overridden(by: overrides) == DispatcherLimits(plans: 1, tasks: 2))
  }
}
