import Testing
import Text

@Suite("Counts of list marks in a query")
struct QueryShapeTests {
  @Test(
    "marks within a line are counted, however they are written",
    arguments: [
      ("Explain (1) rain (2) snow (3) hail", 3), ("Explain 1) rain 2) snow 3) hail", 3),
      ("Explain a) rain b) snow c) hail", 3), ("Explain (a) rain (b) snow (c) hail", 3),
      ("Explain (A) rain, (B) snow and (C) hail", 3), ("Explain (100) rain (101) snow", 2),
    ])
  func inlineMarkers(query: String, expected: Int) {
    let shape = QueryShape(query)
    #expect(shape.inlineMarkers == expected, "\(query)")
    #expect(shape.listItems == 0, "\(query)")
  }

  @Test(
    "lines that begin with a mark are list items",
    arguments: [
      "- rain\n- snow", "1. rain\n2. snow", "(1) rain\n(2) snow", "a) rain\nb) snow",
      "(a) rain\n(b) snow", "  (A) rain\n\t(B) snow",
    ])
  func listItems(query: String) {
    let shape = QueryShape(query)
    #expect(shape.listItems == 2, "\(query)")
    #expect(shape.inlineMarkers == 0, "\(query)")
  }

  @Test(
    "other parentheses are no marks",
    arguments: [
      "Write (all) item(s) of f(a) and g(b) here", "Call f () and g () here",
      "Sort (a), (b), (c)!", "Ask (ab) or (1a) or (a1) or (1234) here",
      "How does mass (m) relate to speed (v) here", "Is f (x) equal to g (x) here",
      "Are vitamins (B) and (C) mixed here", "(c) 2024 rain\n(c) 2025 snow",
      "Read ((b) here", "(all) rain\n() snow\n(a.) hail\n(a",
    ])
  func others(query: String) {
    let shape = QueryShape(query)
    #expect(shape.inlineMarkers == 0 && shape.listItems == 0, "\(query)")
  }

  @Test(
    "one sentence with a list of letters may ask for several things",
    arguments: [
      "Explain to a beginner (a) how rain forms (b) how snow forms (c) how hail forms",
      "Explain to a beginner a) how rain forms b) how snow forms c) how hail forms",
    ])
  func gate(query: String) {
    #expect(DirectGate.shapeReason(query) == nil)
    let plain = query.filter { !"()".contains($0) }
    #expect(DirectGate.shapeReason(plain) == "it is one sentence without a list")
  }

  @Test(
    "a question with steps is answered directly because of its steps",
    arguments: [
      ("First list the planets, then compare them and then write a poem.", 3),
      ("Zuerst Planeten nennen, dann vergleichen", 2),
      ("Boil water then add salt and finally the pasta", 3),
    ])
  func steps(query: String, count: Int) {
    let reason = "its \(count) steps follow each other, so one call does them in order"
    #expect(DirectGate.shapeReason(query) == reason)
    #expect(DirectGate.stepsReason(query) == reason)
  }

  @Test(
    "a single word names no steps",
    arguments: [
      "Who was the first president?", "What then?", "", "Will it rain next week or then next year?",
      "First things only",
    ])
  func noSteps(query: String) {
    #expect(DirectGate.stepsReason(query) == nil)
  }
}
