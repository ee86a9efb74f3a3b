import Telemetry
import Testing

@Suite("Labels with a bounded number of values")
struct BoundedLabelTests {
  @Test("the first names stay, and all further names share one")
  func bound() {
    let label = BoundedLabel(limit: 2)
    #expect(
      ["a", "b", "c", "a", "d", "b"].map { label.name(for: $0) } == [
        "a", "b", "other", "a", "other", "b",
      ])
  }

  @Test("a long name is cut, and long names with the same beginning use up one place")
  func longNames() {
    let label = BoundedLabel(limit: 2)
    let long = String(repeating: "é", count: 1_000)
    #expect(label.name(for: long + "1").utf8.count == 200)
    #expect(label.name(for: long + "2") == label.name(for: long + "1"))
    #expect(label.name(for: "b") == "b")
  }
}
