import Access
import ClusterModel
import ClusterTesting
import GatewayCore
import InferenceCore
import Logging
import Money
import Overload
import Telemetry
import Testing

@testable import GatewayService

@Suite("Request journal")
struct RequestJournalTests {
  private let recorder = TelemetryRecorder(service: "gateway", instance: "g")

  private func drain() -> (requests: [RequestRecord], spans: [SpanRecord]) {
    let batches = recorder.drain()
    return (batches.flatMap(\.requests), batches.flatMap(\.spans))
  }

  private func request() throws -> ClientRequest {
    try ClientRequest(
      parsing: Array(
        #"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#.utf8),
      endpoint: .chatCompletions)
  }

  @Test("a request that ended is recorded with its model, host and usage")
  func record() throws {
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    journal.record(try request())
    journal.recordFirstToken()
    let usage = Usage(promptTokens: 3, completionTokens: 5)
    journal.recordAnswer(by: "a", usage: usage)
    journal.end(status: 200)
    let (requests, _) = drain()
    let record = try #require(requests.first)
    #expect(requests.count == 1)
    #expect(record.trace == journal.trace.trace)
    #expect(record.endpoint == "/v1/chat/completions")
    #expect(record.model == "m")
    #expect(record.pattern == "direct")
    #expect(record.stream)
    #expect(record.status == 200)
    #expect(record.errorCode.isEmpty)
    #expect(record.host == "a")
    #expect(record.usage == usage)
    #expect(record.key.isEmpty)
  }

  @Test("record and span have the cached tokens of the prompt, the span only if there are any")
  func cachedTokens() {
    for cached in [0, 2] {
      let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
      journal.recordAnswer(
        by: "a", usage: Usage(promptTokens: 3, cachedTokens: cached, completionTokens: 5))
      journal.end(status: 200)
      let (requests, spans) = drain()
      #expect(requests.map(\.usage.cachedTokens) == [cached])
      let values = spans.flatMap(\.attributes).filter { $0.key == "cached_tokens" }
      #expect(values == (cached == 0 ? [] : [Attribute("cached_tokens", "2")]))
    }
  }

  @Test("the record and the span have the key's id, also if the request is refused")
  func key() throws {
    let key = try #require(KeyID("abcdefghij23"))
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    journal.record(key: key.description)
    journal.end(status: 429, Failure(.rateLimited, "too many requests"))
    let (requests, spans) = drain()
    #expect(requests.map(\.key) == ["abcdefghij23"])
    #expect(spans.first?.attributes.contains(Attribute("key", "abcdefghij23")) == true)
  }

  /// Rights of a key. Most tests do not reach its limit.
  private func rights(
    _ limits: KeyLimits = KeyLimits(tokensPerDay: 1_000)
  ) throws -> KeyRights {
    KeyRights(
      KeyRecord(
        id: try #require(KeyID("abcdefghij23")), name: "k",
        account: try #require(AccountPath("acme")),
        hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: [.chat],
        limits: limits))
  }

  @Test("a free request is counted in the gateway, by the model that answered")
  func free() throws {
    let rights = try rights()
    let key = try #require(rights.key)
    let gate = KeyGate { 1 }
    func end(_ usage: Usage, by model: ModelID?, isPaid: Bool) throws {
      let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
      journal.record(try request())
      journal.record(try gate.admit(rights, tokens: 100))
      if isPaid { journal.recordPayment() }
      journal.recordAnswer(by: "a", model: model, usage: usage)
      journal.end(status: 200)
    }
    let usage = Usage(promptTokens: 3, completionTokens: 5)
    try end(usage, by: "large", isPaid: false)
    try end(usage, by: nil, isPaid: false)
    try end(usage, by: "large", isPaid: true)
    try end(.zero, by: "large", isPaid: false)
    let days = UsageAnswer.range(2, at: UnixTime.milliseconds())
    let rows = gate.freeUse(of: key.id, days: days).rows
    #expect(rows.map(\.model).sorted() == ["large", "m"])
    #expect(rows.map(\.requests) == [1, 1])
    #expect(rows.map(\.tokens) == [8, 8])
    #expect(rows.map(\.cost) == [.zero, .zero])
    // All four answers count against the limit of tokens.
    #expect(gate.remainders(for: key).map(\.remaining) == [1_000 - 24])
  }

  @Test("the part of an answer that a client received counts, unless the whole answer does")
  func part() throws {
    let rights = try rights()
    let key = try #require(rights.key)
    let gate = KeyGate { 1 }
    let (part, whole) = (
      Usage(promptTokens: 3, completionTokens: 5, estimated: true),
      Usage(promptTokens: 3, completionTokens: 9)
    )
    for isWhole in [false, true] {
      let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
      journal.record(try request())
      journal.record(try gate.admit(rights, tokens: 100))
      if isWhole { journal.recordAnswer(by: "a", model: "large", usage: whole) }
      journal.recordPart(by: "a", model: "large", usage: part)
      journal.end(status: 499, Failure(.cancelled, "the client has left"))
    }
    #expect(drain().requests.map(\.usage) == [part, whole])
    #expect(gate.remainders(for: key).map(\.remaining) == [1_000 - 8 - 12])
  }

  @Test("the record has the finish reason, the charge, and each host's share and cost")
  func costs() throws {
    let host = Host(id: "a", url: "http://a", price: HostPrice(input: 1_000_000, output: 2_000_000))
    let usage = Usage(promptTokens: 3, completionTokens: 5)
    let attempt = AttemptRecord(
      host: "a", model: "m", started: .zero, ended: .seconds(1), tokens: 5, outcome: .answered)
    let costs = HostCosts(
      attempts: [attempt], usage: usage, table: HostTable(epoch: 1, revision: 1, hosts: [host]))
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    journal.recordAnswer(by: "a", model: "m", usage: usage, finishReason: "length", costs: costs)
    journal.recordCost(MicroCredits(20))
    journal.end(status: 200)
    let record = try #require(drain().requests.first)
    #expect(record.finishReason == "length")
    #expect(record.cost?.description == "0.00002" && record.hostCost?.description == "0.000013")
    #expect(record.shares.map(\.totalTokens) == [8])
  }

  @Test("a postponed record is emitted once, with late tokens or when the journal is dropped")
  func postponed() throws {
    let usage = Usage(promptTokens: 3, completionTokens: 5)
    for (isLate, endsFirst) in [(true, true), (true, false), (false, true)] {
      do {
        let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
        journal.recordPattern("tutti/debate")
        journal.postpone()
        if endsFirst { journal.end(status: 499, Failure(.cancelled, "the client has left")) }
        if endsFirst { #expect(drain().requests.isEmpty) }
        if isLate { journal.recordLate(usage, costs: .none, cost: MicroCredits(1)) }
        if !endsFirst { journal.end(status: 499, Failure(.cancelled, "the client has left")) }
      }
      let requests = drain().requests
      #expect(requests.map(\.usage) == [isLate ? usage : .zero], "\(isLate) \(endsFirst)")
    }
  }

  @Test("requests that are refused before any host is asked leave the day's limit of requests")
  func refusedLater() throws {
    let rights = try rights(KeyLimits(requestsPerDay: 100))
    let key = try #require(rights.key)
    let gate = KeyGate { 1 }
    func end(_ status: Int, _ code: Failure.Code, hasAsked: Bool) throws {
      let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
      journal.record(try request())
      journal.record(try gate.admit(rights, tokens: 100))
      if hasAsked { journal.recordAsking() }
      journal.end(status: status, Failure(code, "no"))
    }
    try end(402, .budgetExhausted, hasAsked: false)
    try end(403, .permissionDenied, hasAsked: false)
    try end(404, .modelNotFound, hasAsked: false)
    try end(429, .rateLimited, hasAsked: false)
    try end(429, .budgetHeld, hasAsked: false)
    try end(503, .overloaded, hasAsked: false)
    try end(503, .noEligibleHost, hasAsked: true)
    #expect(gate.remainders(for: key).map(\.remaining) == [100])
    // A mistake of the client counts, and so does the failure of a host.
    try end(400, .invalidRequest, hasAsked: false)
    try end(402, .budgetExhausted, hasAsked: true)
    try end(503, .overloaded, hasAsked: true)
    #expect(gate.remainders(for: key).map(\.remaining) == [97])
  }

  @Test("a key above its limits is refused before a body is read")
  func beforeTheBody() throws {
    let rights = try rights()
    let gate = KeyGate { 1 }
    try gate.check(rights)
    let use = try gate.admit(rights, tokens: 1_000)
    #expect(failureCode { () throws(Failure) in try gate.check(rights) } == .rateLimited)
    withExtendedLifetime(use) {}
  }

  @Test("a flood of refused requests leaves few records, and answers are always recorded")
  func flood() throws {
    let refusals = RateGate(every: .seconds(3_600), burst: 3)
    func end(_ status: Int, _ failure: Failure?, isAdmitted: Bool = false) {
      let journal = RequestJournal(
        "/v1/chat/completions", recorder: recorder, refusals: refusals)
      if isAdmitted { journal.recordAdmission() }
      journal.end(status: status, failure)
    }
    for _ in 0..<1_000 { end(401, Failure(.invalidAPIKey, "wrong key")) }
    // These clients leave before their request's body is complete.
    for _ in 0..<1_000 {
      _ = RequestJournal("/v1/chat/completions", recorder: recorder, refusals: refusals)
    }
    for _ in 0..<10 {
      end(200, nil)
      end(502, Failure(.upstreamFailed, "no answer"), isAdmitted: true)
    }
    let (requests, spans) = drain()
    #expect(requests.map(\.status).count { $0 == 401 } == 3)
    #expect(requests.map(\.status).count { $0 == 499 } == 0)
    #expect(requests.count == 23 && spans.count == 23)
  }

  @Test("an answer that breaks off after its first token is logged as an error, other ends are not")
  func broken() throws {
    let sink = LogSink(
      service: "gateway", format: .json, recorder: recorder, write: { _ in })
    let log = BrokenAnswerLog(
      logger: Logger(label: "test") { _ in TelemetryLogHandler(sink: sink, level: .info) })
    func end(_ status: Int, _ failure: Failure?, tokens: Bool = true) throws -> TraceID {
      let journal = RequestJournal(
        "/v1/chat/completions", recorder: recorder, brokenAnswers: log)
      journal.record(try request())
      if tokens { journal.recordFirstToken() }
      journal.recordAttempts([
        AttemptFacts(
          host: "h1", role: "first", outcome: "lost", started: .zero, ended: .seconds(1))
      ])
      journal.end(status: status, failure)
      return journal.trace.trace
    }
    _ = try end(200, nil)
    _ = try end(502, Failure(.upstreamFailed, "no answer"), tokens: false)
    _ = try end(499, Failure(.cancelled, "the client has left"))
    _ = try end(401, Failure(.invalidAPIKey, "the key was revoked"))
    let trace = try end(502, Failure(.upstreamFailed, "h1 closed the connection"))
    let lines = recorder.drain().flatMap(\.logs)
    #expect(lines.map(\.level) == ["error"])
    #expect(lines.map(\.trace) == [trace])
    let facts = Dictionary(
      uniqueKeysWithValues: try #require(lines.first).attributes.map { ($0.key, $0.value) })
    #expect(facts["event"] == "answer_broken" && facts["host"] == "h1", "\(facts)")
    #expect(facts["attempts"] == "h1 (lost)" && facts["model"] == "m", "\(facts)")
  }

  @Test("only the first end of a request counts")
  func endsOnce() {
    do {
      let journal = RequestJournal("/v1/embeddings", recorder: recorder)
      journal.end(status: 502, Failure(.upstreamFailed, "no answer"))
      journal.end(status: 200)
    }
    let (requests, spans) = drain()
    #expect(requests.map(\.status) == [502])
    #expect(requests.map(\.errorCode) == ["upstream_failed"])
    #expect(spans.map(\.name) == ["request"])
  }

  @Test("a journal that is dropped without an end records that the client left")
  func dropped() {
    do { _ = RequestJournal("/v1/embeddings", recorder: recorder) }
    let (requests, spans) = drain()
    #expect(requests.map(\.status) == [499])
    #expect(requests.map(\.errorCode) == ["cancelled"])
    #expect(spans.map(\.failed) == [true])
  }

  @Test("the request's span names the error and each attempt")
  func span() throws {
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    journal.record(try request())
    let attempts = [
      AttemptFacts(host: "a", role: "first", outcome: "failed", started: .zero, ended: .zero),
      AttemptFacts(host: "b", role: "retry", outcome: "answered", started: .zero, ended: .zero),
    ]
    journal.recordAttempts(attempts)
    journal.end(status: 502, Failure(.upstreamFailed, "no answer"))
    let span = try #require(drain().spans.first)
    let attributes = Dictionary(
      span.attributes.filter { !AttemptFacts.isAttempt($0) }.map { ($0.key, $0.value) }
    ) { first, _ in first }
    #expect(
      attributes == [
        "endpoint": "/v1/chat/completions", "status": "502", "pattern": "direct", "model": "m",
        "error": "upstream_failed", "reason": "no answer",
      ])
    #expect(AttemptFacts.all(in: span.attributes) == attempts)
    #expect(span.failed)
  }

  @Test("a plan's cost has a span of its own, as a child of the request")
  func accounting() throws {
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    journal.recordPattern("tutti/debate")
    journal.recordAnswer(by: "a", usage: Usage(promptTokens: 3, completionTokens: 5))
    journal.recordCost(MicroCredits(7))
    journal.end(status: 200)
    let spans = drain().spans
    let accounting = try #require(spans.first { $0.name == "accounting" })
    let root = try #require(spans.first { $0.name == "request" })
    #expect(accounting.parent == root.span)
    #expect(
      accounting.attributes == [
        Attribute("prompt_tokens", "3"), Attribute("completion_tokens", "5"),
        Attribute("cost", "0.000007"),
      ])
  }

  @Test("later tokens and progress lines do not change the first times")
  func firstTimes() throws {
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    #expect(journal.times.firstToken == nil && journal.times.firstProgress == nil)
    journal.recordProgress()
    journal.recordFirstToken()
    let times = journal.times
    journal.recordProgress()
    journal.recordFirstToken()
    #expect(times.firstToken != nil && times.firstProgress != nil)
    #expect(journal.times.firstToken == times.firstToken)
    #expect(journal.times.firstProgress == times.firstProgress)
    journal.end(status: 200)
  }
}
