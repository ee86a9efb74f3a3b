import ClusterModel
import Limits
import Testing

@testable import InferenceCore

@Suite("Refusals of hosts as the client sees them")
struct RefusalAnswerTests {
  private func talk(_ hosts: Int, _ answer: [UpstreamItem]) throws -> ScriptedRun {
    let all = ["a", "b", "c"].prefix(hosts).map { Host.scripted($0) }
    let streamed = InferenceRequest.chat(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    var left = answer[...]
    return try ScriptedRun(LearningCluster(all), streamed) { _ in
      [left.count > 1 ? left.removeFirst() : left.first!]
    }
  }

  @Test(
    "a status below 500 on which hosts agree is the client's, with the members of the error",
    arguments: [
      (400, "invalid_request_error"), (401, "invalid_api_key"), (402, "insufficient_balance"),
      (403, "permission_denied"), (404, "model_not_found"), (405, "invalid_request_error"),
      (409, "invalid_request_error"), (413, "request_too_large"), (415, "invalid_request_error"),
      (418, "invalid_request_error"), (422, "invalid_request_error"), (429, "rate_limited"),
      (451, "invalid_request_error"),
    ])
  func agreed(_ status: Int, _ code: String) throws {
    for hosts in 1...2 {
      let body = errorBody("no", param: "p", more: #","extra":{"a":[1, 2]},"none":null"#)
      let failure = try #require(
        try talk(hosts, [.refusal(status, body, retryAfter: .milliseconds(2_500))]).failure)
      #expect(failure.code.rawValue == code)
      let said = try #require(failure.refusal)
      #expect(said.status == status)
      let members = Dictionary(
        uniqueKeysWithValues: said.members.map {
          ($0.name, String(decoding: $0.json, as: UTF8.self))
        })
      #expect(
        members == [
          "type": #""t""#, "param": #""p""#, "code": #""c""#, "extra": #"{"a":[1, 2]}"#,
        ])
      #expect(failure.retryAfter == .milliseconds(2_500))
      #expect(failure.message.contains("host ") && failure.message.contains("no"))
    }
  }

  @Test("a host that is a Tutti and has no free credits is busy, and this is no fault of it")
  func heldBudget() throws {
    let held = UpstreamItem.refusal(
      429,
      #"{"error":{"message":"held","type":"rate_limit_error","param":null,"code":"budget_held"}}"#,
      retryAfter: .seconds(5))
    let cluster = LearningCluster(["a", "b"].map { Host.scripted($0) })
    let streamed = InferenceRequest.chat(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    var isFirst = true
    let answered = try ScriptedRun(cluster, streamed) { _ in
      defer { isFirst = false }
      return isFirst ? [held] : [piece("x", finish: "stop"), .done]
    }
    #expect(answered.failure == nil && answered.asked.count == 2)
    let host = try #require(answered.asked.first).host.id
    let standing = try #require(cluster.view().standing(of: host))
    #expect(standing.errorRate == 0 && standing.breaker == .closed)
    #expect(standing.busyUntil == cluster.now + .seconds(5))

    // If all hosts are Tuttis without free credits, the client may retry as at each of them.
    let failure = try #require(try talk(2, [held]).failure)
    #expect(failure.code == .rateLimited && failure.retryAfter == .seconds(5))
    let code = failure.refusal?.members.first { $0.name == "code" }?.json
    #expect(code == Array(#""budget_held""#.utf8))
  }

  @Test("hosts that do not agree, and statuses from 500, are a failure of the cluster")
  func disagreed() throws {
    let mixed = try talk(2, [.refusal(401, errorBody("key")), .refusal(403, errorBody("no"))])
    #expect(mixed.failure?.code == .upstreamFailed && mixed.failure?.refusal == nil)
    let busy = try talk(2, [.refusal(429, errorBody("slow")), .refusal(503, errorBody("busy"))])
    #expect(busy.failure?.code == .hostsBusy && busy.failure?.refusal == nil)
  }

  @Test(
    "500 and 501 are asked once more, reported once, and keep their members", arguments: [500, 501])
  func serverErrors(_ status: Int) throws {
    for hosts in 1...2 {
      let talk = try talk(hosts, [.refusal(status, errorBody("boom"))])
      #expect(talk.asked.count == 2)
      let failure = try #require(talk.failure)
      #expect(failure.code == .upstreamFailed && failure.refusal?.status == 502)
      #expect(failure.refusal?.members.map(\.name) == ["type", "code"])
      if hosts == 1 {
        #expect(failure.message.ranges(of: "boom").count == 1, "\(failure.message)")
      }
    }
    // An untried host gets an attempt, however many other hosts fail.
    let three = try talk(3, [.refusal(status, errorBody("boom"))])
    #expect(Set(three.asked.map(\.host.id)).count == 3 && three.asked.count == 3)
  }

  @Test(
    "an error in a stream keeps its members, before the first token and in mid-answer",
    arguments: [false, true])
  func errorEvents(_ isBegun: Bool) throws {
    var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: 200)
    let chunk =
      #"{"id":"1","object":"chat.completion.chunk","choices":[{"delta":{"content":"A word. "}}]}"#
    let stream = (isBegun ? "data: \(chunk)\n\n" : "") + "data: \(errorBody("boom"))\n\n"
    let items = reader.append(Array(stream.utf8))
    let all = ["a"].map { Host.scripted($0) }
    let streamed = InferenceRequest.chat(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    let failure = try #require(
      try ScriptedRun(LearningCluster(all), streamed) { _ in items }.failure)
    #expect(failure.code == .upstreamFailed && failure.message.contains("boom"))
    #expect(failure.refusal?.members.map(\.name) == ["type", "code"])
  }

  @Test(
    "errors are read in every shape that servers give them",
    arguments: [
      (
        #"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#,
        #"type="BadRequestError" code=400"#
      ),
      (
        #"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#,
        #"type="invalid_request_error""#
      ),
      (
        #"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
        #"code=400 status="INVALID_ARGUMENT""#
      ),
      (
        #"{"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required"}]}"#,
        #"param="messages.0.role""#
      ),
      (#"{"detail":"Not here"}"#, ""), (#"{"error":"m"}"#, ""), ("<html>no</html>", ""), ("", ""),
      ("[]", ""), ("[1]", ""), (#"{"error":null}"#, ""), ("null", ""),
      (
        "{\"error\":{\"message\":\"m\",\n \"type\":\n \"t\",\"o\":{\n\"a\":1}}}",
        #"type="t" o={ "a":1}"#
      ),
    ])
  func shapes(_ body: String, _ expected: String) {
    let refusal = UpstreamRefusal(status: 400, body: Array(body.utf8))
    #expect(
      refusal.members.map { "\($0.name)=\(String(decoding: $0.json, as: UTF8.self))" }
        .joined(separator: " ") == expected)
  }

  @Test("the members of an error are bounded")
  func bounded() {
    let many = (0..<100).map { #","m\#($0)":\#($0)"# }.joined()
    let large = #","big":"\#(String(repeating: "x", count: 60_000))""#
    for more in [many, large] {
      let refusal = UpstreamRefusal(status: 400, body: Array(errorBody("m", more: more).utf8))
      #expect(refusal.members.count <= Limits.errorMembers.value)
      #expect(
        refusal.members.reduce(0) { $0 + $1.json.count } <= Limits.errorMemberBytes.value)
    }
  }

  @Test(
    "a host's secret leaves no trace in the members", arguments: ["sk/secret-1", "sk-secret-2"])
  func secret(_ secret: String) {
    let slashed = secret.replacing("/", with: "\\/")
    var refusal = UpstreamRefusal(
      status: 401,
      body: Array(
        errorBody("no", param: secret, more: #","o":{"key":"\#(slashed)"}"#).utf8))
    refusal.hide(secret)
    for member in refusal.members {
      let text = String(decoding: member.json, as: UTF8.self)
      #expect(!text.contains(secret) && !text.contains(slashed))
    }
    #expect(!refusal.words.contains(secret))
  }
}
