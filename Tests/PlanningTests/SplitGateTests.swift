import ClusterModel
import Foundation
import PlannerCore
import Testing

@Suite("Split gate")
struct SplitGateTests {
  static func hosts(_ count: Int) -> [HostFacts] {
    (0..<count).map {
      HostFacts(
        id: HostID("host-\($0)"), models: ["small"], freeSlots: 1, rateMilli: 40_000,
        firstTokenMilliseconds: 300)
    }
  }

  static func isSplit(_ prompt: String, hosts count: Int) throws -> Bool {
    let plan = try makePlan(
      PlanRequest(
        pattern: "tutti/decompose", query: prompt, seed: 1, available: ["small"],
        hosts: hosts(count)),
      id: "p")
    return plan.tasks.count > 1 || plan.tasks[0].expansion != nil
  }

  @Test("the decisions on labelled prompts are right often enough, and change with the hosts")
  func labelled() throws {
    let prompts = try LabelledPrompt.all()
    for count in [1, 4] {
      var halves = [Confusion(), Confusion()]
      var all = Confusion()
      for (index, labelled) in prompts.enumerated() {
        let said = try Self.isSplit(labelled.prompt, hosts: count)
        halves[index % 2].count(said: said, wanted: labelled.split)
        all.count(said: said, wanted: labelled.split)
        if count == 4, said != labelled.split, index % 2 == 0,
          ProcessInfo.processInfo.environment["SHOW"] != nil
        {
          print("\(index) wanted \(labelled.split) \(labelled.kind)")
        }
      }
      print("\(count) host(s): \(all)\n  even: \(halves[0])\n  odd: \(halves[1])")
    }
  }
}
