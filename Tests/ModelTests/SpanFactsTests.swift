import ClusterModel
import Testing

@Suite("Facts on spans")
struct SpanFactsTests {
  /// Names and texts with every separator, an escape, and a combining mark that joins the separator
  /// before it.
  static let texts = [
    "a", "writer-1", "a b", "a;b<c,d^e=f:g", "%3B", "100 %", "\u{301}accent", "a: b", "é, 文", "%",
  ]

  // MARK: - Plans

  @Test("dependencies and departures of a plan are read as they were written")
  func plan() {
    let ids = Self.texts.map { TaskID($0) }
    let facts = PlanSpanFacts(
      dependencies: ids.map { .init(task: $0) } + [
        .init(task: "sink", inputs: ids), .init(task: "added", inputs: ["a"], origin: ids[3]),
        .init(task: "alone", origin: ids[4]),
      ],
      departures: Self.texts.flatMap { text in
        [TaskStatus.skipped, .degraded, .failed].map {
          .init(task: TaskID(text), status: $0, reason: text)
        }
      } + [.init(task: "silent", status: .failed)])
    #expect(PlanSpanFacts(facts.attributes()) == facts)
    #expect(PlanSpanFacts(facts.attributes(limit: 64)).departures.count > 3)
  }

  @Test("the facts of a plan are readable text, in attributes that fit into a span")
  func planAttributes() {
    let facts = PlanSpanFacts(
      dependencies: [
        .init(task: "answer", inputs: ["draft"]), .init(task: "draft", origin: "analysis"),
        .init(task: "analysis"),
      ],
      departures: [.init(task: "draft", status: .skipped, reason: "its agent was lost")])
    #expect(
      facts.attributes() == [
        Attribute("departures 1", "draft skipped: its agent was lost"),
        Attribute("tasks 1", "answer<draft;draft^analysis;analysis"),
      ])
    #expect(
      facts.attributes(limit: 15).suffix(3).map(\.value) == [
        "answer<draft", "draft^analysis", "analysis",
      ])
    let many = PlanSpanFacts(
      dependencies: (0..<1_000).map { .init(task: TaskID("t\($0)"), inputs: ["sink"]) },
      departures: (0..<1_000).map {
        .init(task: TaskID("t\($0)"), status: .failed, reason: "lost")
      })
    let attributes = many.attributes(limit: 100)
    #expect(attributes.count == 24)
    #expect(attributes.allSatisfy { $0.value.utf8.count <= 100 })
  }

  @Test("attributes that hold no facts of a plan are ignored")
  func notPlan() {
    let attributes = [
      Attribute("tasks", "3"), Attribute("tasks 1", ";;<a;^b"), Attribute("departures 1", "a"),
      Attribute("departures 2", "a unheard-of: why; failed: x"),
      Attribute("departures", "b failed"),
    ]
    #expect(PlanSpanFacts(attributes) == PlanSpanFacts())
    #expect(PlanSpanFacts([]) == PlanSpanFacts())
  }

  // MARK: - Attempts

  @Test("attempts are read as they were written", arguments: SpanFactsTests.texts)
  func attempt(text: String) {
    let attempts = [
      AttemptFacts(
        host: HostID(text), role: "first", outcome: "stall", changes: [text, "not streamed"],
        tokens: 12, started: .zero, ended: .milliseconds(310), isPanic: true, chosen: text,
        ending: text,
        reason: text),
      AttemptFacts(
        host: "b", role: "resumption", outcome: "answered", started: .milliseconds(311),
        ended: .milliseconds(4_000)),
    ]
    let attributes = AttemptFacts.attributes(attempts)
    #expect(attributes.map(\.key) == ["attempt 1", "attempt 2"])
    #expect(attributes.allSatisfy(AttemptFacts.isAttempt))
    #expect(AttemptFacts.all(in: [Attribute("attempt", "1")] + attributes) == attempts)
  }

  @Test("an attempt is written as fields and shown as a sentence")
  func attemptText() {
    let attempt = AttemptFacts(
      host: "embedded-2", role: "first", outcome: "beaten", started: .zero,
      ended: .milliseconds(310))
    #expect(
      AttemptFacts.attributes([attempt]).map(\.value) == [
        "host=embedded-2;role=first;outcome=beaten;tokens=0;started_ms=0;ended_ms=310"
      ])
    #expect("\(attempt)" == "embedded-2 first beaten, 0 tokens, 0–310 ms")
  }

  @Test("an attempt whose answer Tutti ended says why")
  func attemptEnding() {
    let attempt = AttemptFacts(
      host: "embedded-1", role: "first", outcome: "answered", tokens: 400, started: .zero,
      ended: .milliseconds(9), ending: "repetition")
    #expect(
      AttemptFacts.attributes([attempt]).map(\.value) == [
        "host=embedded-1;role=first;outcome=answered;tokens=400;started_ms=0;ended_ms=9;"
          + "ending=repetition"
      ])
    #expect(
      "\(attempt)"
        == "embedded-1 first answered, 400 tokens, 0–9 ms, ended because it repeated itself")
  }

  @Test("an attempt is shown without the hosts' prices, and other attributes stay as they are")
  func withoutPrices() throws {
    var attempt = AttemptFacts(
      host: "a", role: "first", outcome: "answered", started: .zero, ended: .milliseconds(9),
      chosen: "cheapest of 3 equal hosts (0.15/0.6; others from 0.6/2.4)", reason: "r (s)")
    let words = "cheapest of 3 equal hosts"
    #expect(attempt.withoutPrices.chosen == words && attempt.withoutPrices.reason == "r (s)")
    let attribute = try #require(AttemptFacts.attributes([attempt]).first)
    let shown = AttemptFacts.withoutPrices(in: attribute)
    #expect(shown.key == attribute.key && AttemptFacts(shown.value)?.chosen == words)
    // A span's recorder may have cut the value amid the prices.
    let place = try #require(attribute.value.firstRange(of: "0.6/2")).lowerBound
    let cut = Attribute(attribute.key, String(attribute.value[..<place]))
    #expect(AttemptFacts(AttemptFacts.withoutPrices(in: cut).value)?.chosen == words)
    attempt.chosen = ""
    for other in AttemptFacts.attributes([attempt]) + [Attribute("reason", "(0.15/0.6)")] {
      #expect(AttemptFacts.withoutPrices(in: other) == other)
    }
  }

  @Test("an attempt whose reason was cut is read; text without host, role or outcome is not")
  func cutAttempt() throws {
    let attempt = AttemptFacts(
      host: "a", role: "retry", outcome: "status", started: .zero, ended: .zero,
      reason: "it said 50%")
    let value = try #require(AttemptFacts.attributes([attempt]).first).value
    #expect(value.hasSuffix("it said 50%25"))
    #expect(AttemptFacts(String(value.dropLast()))?.reason == "it said 50%2")
    #expect(AttemptFacts("embedded-2 first beaten, 0 tokens, 0–310 ms") == nil)
    #expect(AttemptFacts("host=a;role=first") == nil)
    #expect(AttemptFacts("") == nil)
    let wrong = try #require(
      AttemptFacts("host=a;role=first;outcome=x;tokens=99999999999999999999"))
    #expect(wrong.tokens == 0)
  }

  // MARK: - Tasks

  @Test("facts of a task are read as they were written")
  func task() {
    let facts = TaskSpanFacts(
      task: "draft", role: .critic, agent: "critic-1", attempt: 2, host: "h", model: "m",
      firstTokenMilliseconds: 9, promptTokens: 100, completionTokens: 0, error: "peer_lost",
      reason: "critic-1 was lost")
    #expect(facts.attributes.count == 11)
    #expect(TaskSpanFacts(facts.attributes) == facts)
    #expect(TaskSpanFacts().attributes.isEmpty)
    #expect(
      TaskSpanFacts([Attribute("attempt", "two"), Attribute("role", "?")]) == TaskSpanFacts())
  }
}
