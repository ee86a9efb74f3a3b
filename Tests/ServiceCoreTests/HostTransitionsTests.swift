import ClusterModel
import ClusterTesting
import RegistryCore
import Testing

@Suite("Changes of hosts that an operator should see")
struct HostTransitionsTests {
  private func host(_ state: HostState, _ reason: String = "") -> Host {
    Host(id: "h", url: "http://h", state: state, reason: reason)
  }

  @Test("a host that was ready goes down and comes back, with the time that it was away")
  func downAndBack() {
    var transitions = HostTransitions()
    let (ready, down) = (host(.ready), host(.unreachable, "connection refused"))
    #expect(transitions.event(of: ready, before: ready, now: at(ms: 0)) == nil)
    #expect(transitions.event(of: down, before: ready, now: at(ms: 1_000)) == .down)
    #expect(transitions.event(of: down, before: down, now: at(ms: 2_000)) == nil)
    let slow = host(.unreachable, "timed out")
    #expect(transitions.event(of: slow, before: down, now: at(ms: 3_000)) == .changed)
    #expect(
      transitions.event(of: ready, before: slow, now: at(ms: 41_000)) == .back(away: .seconds(40)))
    // The next absence is counted from its own start.
    #expect(transitions.event(of: down, before: ready, now: at(ms: 50_000)) == .down)
    #expect(
      transitions.event(of: ready, before: down, now: at(ms: 51_000)) == .back(away: .seconds(1)))
  }

  @Test("a host that does not answer its first probe is down, and its first answer is no return")
  func first() {
    var transitions = HostTransitions()
    let (new, ready) = (host(.unknown), host(.ready))
    #expect(transitions.event(of: host(.unreachable), before: new, now: at(ms: 0)) == .down)
    #expect(transitions.event(of: ready, before: new, now: at(ms: 0)) == .changed)
    #expect(transitions.event(of: host(.unreachable), before: nil, now: at(ms: 0)) == .down)
  }

  @Test("a host that was resumed does not come back from the absence before its suspension")
  func resumed() {
    var transitions = HostTransitions()
    let (ready, down) = (host(.ready), host(.unreachable))
    _ = transitions.event(of: down, before: ready, now: at(ms: 0))
    let (suspended, resumed) = (host(.suspended), host(.unknown))
    #expect(transitions.event(of: suspended, before: down, now: at(ms: 10)) == .changed)
    #expect(transitions.event(of: ready, before: resumed, now: at(ms: 20)) == .changed)
    #expect(transitions.event(of: ready, before: down, now: at(ms: 30)) == .back(away: nil))
  }
}
