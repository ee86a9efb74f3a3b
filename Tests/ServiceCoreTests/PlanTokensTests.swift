import ClusterModel
import GatewayCore
import Limits
import Testing

private let plan = Plan.twoDrafts

@Suite("The tokens that a plan is expected to take")
struct PlanTokensTests {
  private static func request(_ members: String = "") throws -> ClientRequest {
    let text = String(repeating: "word ", count: 400)
    return try ClientRequest(
      parsing: Array(
        #"{"model":"tutti/ensemble",\#(members)"messages":[{"role":"user","content":"\#(text)"}]}"#
          .utf8), endpoint: .chatCompletions)
  }

  @Test("each task counts the conversation, its inputs and its answer, and the budget caps the sum")
  func tasks() throws {
    let request = try Self.request()
    let whole = request.expectedTokens(of: plan, within: nil)
    // The conversation has 500 tokens and is read three times. Three answers are written, and two of
    // them are read.
    let least = 3 * 500 + 5 * 512
    let most = 3 * 700 + 5 * 512
    #expect(whole >= least && whole <= most)
    #expect(request.expectedTokens(of: plan, within: 900) == 900)
    var short = plan
    for index in short.tasks.indices { short.tasks[index].maxTokens = 10 }
    #expect(whole - request.expectedTokens(of: short, within: nil) == 5 * (512 - 10))
  }

  @Test("documents count up to the room of a prompt, and mechanical merges count nothing")
  func documents() throws {
    let text = String(repeating: "x", count: 400_000)
    let request = try Self.request(#""tutti":{"documents":[{"name":"a","text":"\#(text)"}]},"#)
    let before = request.expectedTokens(of: plan, within: nil)
    var reading = plan
    reading.tasks[0].documents = [PlanTask.everyDocument]
    #expect(
      request.expectedTokens(of: reading, within: nil) == before + Limits.documentTokens.value)
    reading.tasks[0].documents = ["a"]
    reading.tasks[0].documentPart = DocumentPart(number: 1, count: 100)
    #expect(request.expectedTokens(of: reading, within: nil) == before + 1_000)
    var vote = plan
    vote.tasks[2].merge = .vote
    #expect(request.expectedTokens(of: vote, within: nil) < before - 3 * 512)
  }
}
