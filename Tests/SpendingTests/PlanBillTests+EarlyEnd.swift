import ClusterModel
import Money
import Testing

@testable import GatewayCore

/// Bills of plans that end before the client has received the whole answer.
extension PlanBillTests {
  @Test("a client that leaves within a finished answer pays for the text that it received")
  func unreadAnswer() throws {
    let trace = Self.trace([
      Self.report("draft", [Self.inference(10, 8, Self.attempt("draft", .delivered, 8))]),
      Self.report(
        "b",
        [
          Self.inference(30, 4, Self.attempt("a", .delivered, 4)),
          Self.inference(30, 20, Self.attempt("b", .delivered, 16)),
        ], usage: Usage(promptTokens: 60, completionTokens: 20)),
    ])
    func bill(written: Int?) throws -> RequestBill {
      RequestBill(
        plan: trace, model: "tutti/ensemble", written: written, price: try Self.price(),
        hold: Self.hold)
    }
    let whole = try bill(written: nil)
    #expect(whole.billed == MicroCredits(10 + 16 + 60 + 40))
    let left = try bill(written: 6)
    #expect(left.billed == MicroCredits(10 + 16 + 60 + 12))
    #expect(left.answers.map(Self.hosts) == [["draft"], ["a"], ["b"]])
    #expect(left.answers.flatMap(\.attempts).map(\.contributed) == [8, 4, 2])
    // The gateway's count of the written text is an estimate. No more than the host's own count is
    // billed.
    #expect(try bill(written: 90).billed == whole.billed)
  }

  @Test("an answer that breaks off costs its prompt and the text that the client received")
  func brokenOff() throws {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble", tasks: [PlanTask(id: "t0", role: .research)],
        sink: "t0", seed: 1, deadline: .seconds(9)))
    trace.beginDispatch()
    Self.write(16, at: "a", attempt: 1, in: &trace)
    trace.beginDispatch()
    Self.write(20, at: "b", attempt: 1, in: &trace)
    trace.record(
      .ended(
        TaskEnded(
          task: "t0", role: .research, agent: "x", status: .failed, reason: "its plan ended",
          report: Self.report("b", [Self.inference(30, 5, Self.attempt("b", .delivered, 5))]))))
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 7, price: try Self.price(), hold: Self.hold)
    #expect(bill.billed == MicroCredits(30 + 14))
    #expect(bill.answers.map(Self.hosts) == [["a"], ["b"]])
    #expect(bill.answers.flatMap(\.attempts).map(\.contributed) == [4, 3])
  }

  @Test("hosts of tasks that run when the client leaves are paid for their work so far")
  func leftTasks() throws {
    let ids: [TaskID] = ["t0", "t1", "t2", "sink"]
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/decompose",
        tasks: ids.map { id in
          PlanTask(
            id: id, role: .research,
            inputs: id == "sink" ? ids.dropLast().map { Edge(from: $0, name: $0.name) } : [],
            merge: id == "sink" ? .concatenate : .none)
        }, sink: "sink", seed: 1, deadline: .seconds(9)))
    trace.beginDispatch()
    func started(_ task: TaskID) {
      trace.record(.started(task: task, role: .research, agent: "x", attempt: 1))
      trace.record(
        .firstToken(
          task: task,
          TaskBegan(host: HostID("h-\(task)"), model: "m", firstTokenMilliseconds: 1)))
    }
    for task in ids.dropLast() { started(task) }
    Self.end(
      Self.report("h-t0", [Self.inference(3, 4, Self.attempt("h-t0", .delivered, 4))]), in: &trace)
    trace.record(.delta(TaskDelta(text: String(repeating: "x", count: 16))))
    func bill() throws -> RequestBill {
      RequestBill(
        plan: trace, model: "tutti/decompose", written: 4, price: try Self.price(),
        hold: Self.hold)
    }
    #expect(try bill().billed == MicroCredits(3 + 8))
    func cost(_ task: TaskID, _ prompt: Int, _ completion: Int) -> PlanCosts.Task {
      let host = HostID("h-\(task)")
      return PlanCosts.Task(
        task: task,
        report: Self.report(
          host, [Self.inference(prompt, completion, Self.attempt(host, .delivered, completion))]))
    }
    // The report of t0 has arrived before, with the host's own counts. Task t9 is unknown.
    trace.record(
      PlanCosts(
        trace: TraceID(high: 1, low: 1), dispatch: 1,
        tasks: [cost("t0", 90, 90), cost("t1", 5, 6), cost("t2", 7, 0), cost("t9", 1, 1)]))
    let left = try bill()
    #expect(left.billed == MicroCredits(3 + 8 + 5 + 12 + 7))
    #expect(left.answers.map(Self.hosts) == [["h-t0"], ["h-t1"], ["h-t2"]])
    #expect(left.answers.flatMap(\.attempts).map(\.contributed) == [4, 6, 0])
    #expect(left.answers.flatMap(\.attempts).allSatisfy { $0.role == .winner })
  }

  @Test("an answer that runs when the client leaves is paid with its prompt, to each of its hosts")
  func leftAnswer() throws {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble", tasks: [PlanTask(id: "t0", role: .research)],
        sink: "t0", seed: 1, deadline: .seconds(9)))
    trace.beginDispatch()
    Self.write(16, at: "a", attempt: 1, in: &trace)
    trace.beginDispatch()
    Self.write(8, at: "b", attempt: 1, in: &trace)
    Self.write(40, at: "c", attempt: 2, in: &trace)
    let inferences = [
      Self.inference(30, 2, Self.attempt("b", .delivered, 2)),
      Self.inference(30, 10, Self.attempt("c", .delivered, 10)),
    ]
    trace.record(
      PlanCosts(
        trace: TraceID(high: 1, low: 1), dispatch: 1,
        tasks: [.init(task: "t0", report: Self.report("c", inferences))]))
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 9, price: try Self.price(), hold: Self.hold)
    // The second dispatcher knows nothing about host a, whose text the client has as well.
    #expect(bill.answers.map(Self.hosts) == [["a"], ["b"], ["c"]])
    #expect(bill.answers.flatMap(\.attempts).map(\.contributed) == [4, 2, 3])
    #expect(bill.answers.map(\.usage.prompt) == [0, 30, 30])
    #expect(bill.billed == MicroCredits(60 + 18))
  }

  @Test("a client that leaves within a draft that stands in pays for the draft once")
  func unreadDraft() throws {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble",
        tasks: [
          PlanTask(id: "t0", role: .research),
          PlanTask(id: "sink", role: .coordinator, inputs: [Edge(from: "t0", name: "a")]),
        ], sink: "sink", seed: 1, deadline: .seconds(9)))
    Self.end(Self.report("a", [Self.inference(3, 4, Self.attempt("a", .delivered, 4))]), in: &trace)
    trace.record(
      .ended(
        TaskEnded(
          task: "sink", role: .coordinator, agent: "", status: .degraded, reason: "no agent",
          report: TaskReport(
            host: "", model: "", usage: .zero, firstTokenMilliseconds: 0, totalMilliseconds: 0,
            finishReason: "stop", output: "a draft"))))
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 3, price: try Self.price(), hold: Self.hold)
    #expect(bill.billed == MicroCredits(3 + 8) && bill.answers.map(Self.hosts) == [["a"]])
  }
}
