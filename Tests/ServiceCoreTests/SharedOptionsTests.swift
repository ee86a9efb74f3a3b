import ClusterModel
import GatewayCore
import PlannerCore
import Testing

@Suite("Options that the gateway and the planner check")
struct SharedOptionsTests {
  @Test(
    "both accept the same numbers", arguments: ["members", "rounds", "quorum"],
    [0, 1, 2, 8, 9, 16, 17])
  func ranges(_ option: String, _ number: Int) {
    let members = option == "members" ? "" : #""members":16,"#
    let body =
      #"{"model":"tutti/debate","messages":[{"role":"user","content":"Why?"}],"#
      + #""tutti":{\#(members)"\#(option)":\#(number)}}"#
    let request = try? ClientRequest(parsing: Array(body.utf8), endpoint: .chatCompletions)
    var asked = PlanRequest(
      pattern: PatternName.debate.rawValue, query: "Why?", seed: 1, available: ["m"])
    switch option {
    case "members": asked.members = number
    case "rounds": asked.rounds = number
    default: (asked.members, asked.quorum) = (16, number)
    }
    #expect((request != nil) == isInRange(asked))
  }

  private func isInRange(_ request: PlanRequest) -> Bool {
    do throws(Failure) {
      _ = try makePlan(request, id: "p")
      return true
    } catch {
      return error.code != .invalidRequest
    }
  }

  @Test("each pattern is one of Tutti's own models and has a line of help")
  func names() {
    #expect(GatewayRouting.ownModels == ["tutti/fast"] + PatternName.allCases.map(\.rawValue))
    for pattern in PatternName.allCases {
      #expect(pattern.rawValue.hasPrefix(ModelID.ownPrefix))
      #expect((20...72).contains(pattern.help.count) && !pattern.help.hasSuffix("."))
    }
  }
}
