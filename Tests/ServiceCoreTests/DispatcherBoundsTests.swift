import ClusterModel
import ClusterTesting
import HostModel
import Limits
import Testing

@testable import DispatcherCore

@Suite("Limits of one plan in a dispatcher")
struct DispatcherBoundsTests {
  @Test("a host that claims any number of slots costs no more than one decision looks at")
  func slots() {
    for (slots, others) in [
      (65_536, 500), (65_536, 0), (1_000, 200), (Int.max, 1_000), (1, 100_000), (200, 200),
    ] {
      for inFlight in [others, Int.max] {
        var queue = HostQueue<Int>()
        _ = queue.setHosts(
          [SchedulableHost(id: "h", models: ["m"], slots: slots, inFlight: inFlight)], now: .zero)
        for ticket in 0..<300 {
          _ = queue.join(ticket, HostWork(tokens: 100), client: "c", now: .zero)
        }
        #expect(queue.runningCount + queue.waitingCount == 300)
        if slots - min(inFlight, slots) > 300 { #expect(queue.waitingCount == 0) }
      }
    }
  }

  @Test("outputs beyond the plan's limit fail the task that wrote them, and the plan continues")
  func outputs() throws {
    var run = try Rehearsal(.fan(6, quorum: 1, onFailure: .skip))
    run(.start)
    let large = String(repeating: "word ", count: 700_000)
    for index in 0..<6 { run.finish(TaskID("t\(index)"), output: large) }
    #expect(run.run.keptBytes <= Limits.planOutputBytes.value + 1 << 20)
    let skipped = run.log.ended.filter { $0.status == .skipped }
    #expect(!skipped.isEmpty)
    #expect(skipped.allSatisfy { $0.reason.contains(Limits.planOutputBytes.name) })
    let sink = try #require(run.log.starts.last)
    #expect(sink.attempt.task == "sink")
    #expect(sink.order.inputs.allSatisfy { $0.text.utf8.count <= 64 << 10 })
    run.finish("sink", output: "All of it.")
    #expect(run.log.finished != nil)
  }

  @Test("prompts beyond the plan's limit are refused with its name")
  func prompts() throws {
    let conversation = Conversation(
      messagesJSON: Array("[\"\(String(repeating: "x", count: 4 << 20))\"]".utf8))
    let documents = (0..<2).map {
      Document(name: "d\($0)", text: String(repeating: "y", count: 5_000_000))
    }
    var plan = Plan.fan(15, quorum: 1, onFailure: .skip)
    for index in 0..<15 { plan.tasks[index].documents = [PlanTask.everyDocument] }
    var run = try Rehearsal(
      order: PlanOrder(plan: plan, conversation: conversation, documents: documents))
    run(.start)
    #expect(run.log.starts.count == 15, "fifteen tasks that read everything fit")
    run.run.promptBytes = Limits.planPromptBytes.value - 1_000_000
    for index in 0..<15 { run.finish(TaskID("t\(index)")) }
    #expect(run.log.failure?.code == .requestTooLarge)
    #expect(run.log.failure?.message.contains(Limits.planPromptBytes.name) == true)
  }

  @Test("an output is put into its readers' form once, before they ask")
  func preparedOnce() throws {
    var plan = Plan.fan(4)
    plan.tasks[4].merge = .vote
    var run = try Rehearsal(plan)
    run(.start)
    for index in 0..<2 { run.finish(TaskID("t\(index)"), output: "<bos>yes") }
    for edge in plan.tasks[4].inputs.prefix(2) {
      let forms = try #require(run.run.board.forms(of: edge))
      #expect(forms.prepared == "yes" && forms.reading == nil)
    }
    run.finish("t2", output: "no")
    run.finish("t3", output: "yes")
    #expect(run.log.text == "yes")
  }

  @Test("a plan that the process cannot keep ends with the reason")
  func stopped() throws {
    var run = try Rehearsal(.fan(2))
    run(.start)
    let directives = run(.stopped(Failure(.overloaded, "no memory")))
    #expect(directives.failure?.code == .overloaded && directives.cancels.count == 2)
    #expect(run.run.isOver && run(.stopped(Failure(.overloaded, "again"))).isEmpty)
  }

  @Test("the kept bytes of a plan are the client's documents and messages and the tasks' outputs")
  func kept() throws {
    let order = PlanOrder(
      plan: .fan(1),
      conversation: Conversation(messagesJSON: [UInt8](repeating: 0x20, count: 5_000)),
      documents: [Document(name: "d", text: String(repeating: "x", count: 10_000))])
    #expect(order.keptBytes > 15_000 && order.keptBytes < 20_000)
    var run = try Rehearsal(order: order)
    run(.start)
    let before = run.run.keptBytes
    run.finish("t0", output: String(repeating: "y", count: 30_000))
    #expect(run.run.keptBytes >= before + 30_000)
  }

  @Test("a long answer goes out in pieces of whole characters")
  func pieces() throws {
    var plan = Plan.fan(2)
    plan.tasks[2].merge = .concatenate
    var run = try Rehearsal(plan)
    run(.start)
    let text = "x" + String(repeating: "€", count: 20_000)
    run.finish("t0", output: text)
    run.finish("t1", output: "end")
    #expect(run.log.text == text + "\n\nend")
  }

  @Test("whether a part reaches the answer unchanged is found out once per task")
  func layers() throws {
    var tasks: [PlanTask] = []
    for layer in 0..<15 {
      for place in 0..<4 {
        let inputs =
          layer == 0
          ? [] : (0..<4).map { Edge(from: TaskID("t\(layer - 1)-\($0)"), name: "n\($0)") }
        tasks.append(
          PlanTask(
            id: TaskID("t\(layer)-\(place)"), role: .code, inputs: inputs,
            merge: inputs.isEmpty ? .none : .concatenate))
      }
    }
    tasks.append(
      PlanTask(
        id: "sink", role: .code,
        inputs: (0..<4).map { Edge(from: TaskID("t14-\($0)"), name: "n\($0)") },
        merge: .concatenate))
    let plan = Plan(
      id: "p", pattern: "test", tasks: tasks, sink: "sink", seed: 1, deadline: .seconds(60))
    var run = try Rehearsal(plan)
    // A billion paths lead from the four first tasks to the sink.
    #expect(run(.start).starts.count == 4)
  }
}
