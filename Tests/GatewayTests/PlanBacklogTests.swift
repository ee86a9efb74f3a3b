import ClusterModel
import Limits
import Overload
import Synchronization
import Testing

@testable import GatewayService

@Suite("Backlog of a plan's events")
struct PlanBacklogTests {
  private func delta(_ bytes: Int) -> PlanEvent {
    .delta(TaskDelta(text: String(repeating: "x", count: bytes)))
  }

  @Test("a client may leave as much unread as the limit allows")
  func limit() {
    let backlog = PlanBacklog(MemoryBudget()) { _ in }
    let half = delta(Limits.streamUnread.value / 2)
    #expect(backlog.add(half))
    #expect(!backlog.add(half))
  }

  @Test("events that the client has read leave room for others")
  func room() {
    let backlog = PlanBacklog(MemoryBudget()) { _ in }
    let half = delta(Limits.streamUnread.value / 2)
    for _ in 0..<10 {
      #expect(backlog.add(half))
      backlog.remove(half)
    }
  }

  @Test("one event above the limit does not make a client slow")
  func oneLarge() {
    let backlog = PlanBacklog(MemoryBudget()) { _ in }
    #expect(backlog.add(delta(2 * Limits.streamUnread.value)))
    #expect(!backlog.add(delta(1)))
  }

  @Test("only events above the pause are charged to the process")
  func charges() {
    let memory = MemoryBudget()
    let backlog = PlanBacklog(memory) { _ in }
    #expect(backlog.add(delta(10)))
    #expect(memory.held == 0)
    let large = delta(2 * Limits.streamPause.value)
    #expect(backlog.add(large))
    #expect(memory.held > 0)
    backlog.remove(large)
    #expect(memory.held < Limits.streamPause.value)
  }
}
