import ClusterModel
import Testing

@testable import GatewayCore

@Suite("Plans that a client has left, until their settlement")
struct PlanDeparturesTests {
  private let trace = TraceID(high: 1, low: 2)
  private let first = PeerID(name: "dispatcher-1", incarnation: 1)
  private let second = PeerID(name: "dispatcher-2", incarnation: 1)
  private var firstDispatch: PlanDispatch { PlanDispatch(dispatcher: first, number: 1) }

  private func costs(_ tokens: Int = 1, dispatch: Int = 1) -> PlanCosts {
    PlanCosts(
      trace: trace, dispatch: dispatch,
      tasks: [
        .init(
          task: "t",
          report: TaskReport(
            host: "h", model: "m", usage: Usage(promptTokens: 1, completionTokens: tokens),
            firstTokenMilliseconds: 0, totalMilliseconds: 0, finishReason: "stop", output: ""))
      ])
  }

  private func seconds(_ count: Int) -> Instant { Instant(sinceStart: .seconds(count)) }

  @Test("a plan is settled once, when its dispatcher's message arrives")
  func message() {
    var departures = PlanDepartures()
    departures.begin(trace)
    #expect(departures.leave(trace, firstDispatch, now: .zero) == nil)
    #expect(departures.receive(costs(), from: first) == true)
    #expect(departures.receive(costs(), from: first) == false)
    #expect(departures.expire(now: seconds(60)).isEmpty && departures.isEmpty)
  }

  @Test("a message may arrive before the gateway has finished its own work")
  func early() {
    var departures = PlanDepartures()
    departures.begin(trace)
    #expect(departures.receive(costs(7), from: first) == false)
    #expect(
      departures.leave(trace, firstDispatch, now: .zero) == costs(7))
    #expect(departures.isEmpty)
  }

  @Test("without a message, a plan is settled after the patience")
  func silent() {
    var departures = PlanDepartures()
    departures.begin(trace)
    _ = departures.leave(trace, firstDispatch, now: seconds(10))
    #expect(departures.expire(now: seconds(10)).isEmpty)
    let end = seconds(10).advanced(by: PlanDepartures.patience)
    #expect(departures.expire(now: end) == [trace])
    #expect(departures.expire(now: end).isEmpty && departures.isEmpty)
    #expect(departures.receive(costs(), from: first) == false)
  }

  @Test("only the dispatcher that ran the plan last counts")
  func lastDispatcher() {
    var departures = PlanDepartures()
    departures.begin(trace)
    // The first dispatcher was lost to the gateway, and its tasks ran again at the second one.
    #expect(departures.receive(costs(1), from: first) == false)
    let last = PlanDispatch(dispatcher: second, number: 2)
    #expect(departures.leave(trace, last, now: .zero) == nil)
    #expect(departures.receive(costs(1), from: first) == false)
    #expect(departures.receive(costs(2, dispatch: 2), from: second) == true)
  }

  @Test("only the last dispatch counts if both went to the same dispatcher")
  func sameDispatcher() {
    let last = PlanDispatch(dispatcher: first, number: 2)
    var departures = PlanDepartures()
    departures.begin(trace)
    #expect(departures.receive(costs(1), from: first) == false)
    #expect(departures.leave(trace, last, now: .zero) == nil)
    #expect(departures.receive(costs(1), from: first) == false)
    #expect(departures.receive(costs(2, dispatch: 2), from: first) == true)
    departures.begin(trace)
    #expect(departures.receive(costs(1), from: first) == false)
    #expect(departures.receive(costs(2, dispatch: 2), from: first) == false)
    #expect(departures.leave(trace, last, now: .zero) == costs(2, dispatch: 2))
  }

  @Test("a message about an unknown or finished plan is ignored")
  func unknown() {
    var departures = PlanDepartures()
    #expect(departures.receive(costs(), from: first) == false && departures.isEmpty)
    departures.begin(trace)
    departures.end(trace)
    #expect(departures.receive(costs(), from: first) == false && departures.isEmpty)
  }

  @Test("at most two messages of a running plan are kept")
  func bounded() {
    var departures = PlanDepartures()
    departures.begin(trace)
    let peers = (0..<9 as Range<UInt64>).map { PeerID(name: "dispatcher", incarnation: $0) }
    for peer in peers { #expect(departures.receive(costs(), from: peer) == false) }
    #expect(
      departures.leave(trace, PlanDispatch(dispatcher: peers[1], number: 1), now: .zero) != nil)
    departures.begin(trace)
    for peer in peers { #expect(departures.receive(costs(), from: peer) == false) }
    #expect(
      departures.leave(trace, PlanDispatch(dispatcher: peers[2], number: 1), now: .zero) == nil)
  }

  @Test("a shutdown settles the plans that wait, and no plan that runs")
  func shutdown() {
    var departures = PlanDepartures()
    let other = TraceID(high: 3, low: 4)
    departures.begin(trace)
    departures.begin(other)
    _ = departures.leave(trace, firstDispatch, now: .zero)
    #expect(departures.endAll() == [trace])
    #expect(!departures.isEmpty)
    departures.end(other)
    #expect(departures.isEmpty)
  }
}
