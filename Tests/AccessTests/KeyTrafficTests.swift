import Access
import ClusterModel
import Testing

@Suite("Traffic of keys")
struct KeyTrafficTests {
  private func record(
    _ traffic: inout KeyTraffic, _ key: KeyID, _ tokens: Int, at now: Instant = seconds(0)
  ) {
    traffic.record(key, Usage(promptTokens: tokens, completionTokens: 1), at: now)
  }

  private func keys(_ count: Int) throws -> [KeyID] {
    try (0..<count).map { try sampleKey(UInt64($0)).id }
  }

  @Test("keys are counted by their ids while there are places, and all others together")
  func counts() throws {
    let keys = try keys(4)
    var traffic = KeyTraffic(capacity: 2)
    #expect(traffic.series.isEmpty)
    for key in keys { record(&traffic, key, 10) }
    record(&traffic, keys[0], 5)
    let series = traffic.series
    #expect(series.map(\.label) == ["\(keys[0])", "\(keys[1])", "other"])
    #expect(series.map(\.counts.requests) == [2, 1, 2])
    #expect(series.map(\.counts.promptTokens) == [15, 10, 20])
    #expect(series.map(\.counts.completionTokens) == [2, 1, 2])
  }

  @Test("a key with more than twice the tokens takes the place of the key with the fewest")
  func replaces() throws {
    let keys = try keys(3)
    var traffic = KeyTraffic(capacity: 2)
    record(&traffic, keys[0], 999)
    record(&traffic, keys[1], 99)
    record(&traffic, keys[2], 199)
    #expect(traffic.series.map(\.label) == ["\(keys[0])", "\(keys[1])", "other"])
    record(&traffic, keys[2], 9)
    let series = traffic.series
    #expect(series.map(\.label) == ["\(keys[0])", "\(keys[2])", "other"])
    // The new key's first request stays in "other", because a counter must not fall.
    #expect(series.map(\.counts.promptTokens) == [999, 9, 199])
  }

  @Test("tokens older than a day no longer keep a place")
  func age() throws {
    let keys = try keys(2)
    var traffic = KeyTraffic(capacity: 1)
    record(&traffic, keys[0], 1_000_000)
    record(&traffic, keys[1], 10, at: seconds(60))
    #expect(traffic.series.map(\.label) == ["\(keys[0])", "other"])
    record(&traffic, keys[1], 10, at: seconds(2 * 86_400))
    #expect(traffic.series.map(\.label) == ["\(keys[1])", "other"])
  }

  @Test("similar keys do not replace each other again and again")
  func steady() throws {
    let keys = try keys(3)
    var traffic = KeyTraffic(capacity: 2)
    for key in keys { record(&traffic, key, 100) }
    let before = traffic.series.map(\.label)
    for round in 0..<50 {
      for key in keys { record(&traffic, key, 100, at: seconds(round)) }
    }
    #expect(traffic.series.map(\.label) == before)
  }

  @Test("the number of labels stays limited under a flood of keys")
  func flood() throws {
    var traffic = KeyTraffic(capacity: 3, maximumKeys: 8)
    for (number, key) in try keys(100).enumerated() {
      record(&traffic, key, number, at: seconds(number))
      #expect(traffic.series.count <= 4)
    }
    #expect(traffic.series.count == 4)
  }

  @Test("counts beyond the largest number stay at it")
  func overflow() throws {
    let key = try keys(1)[0]
    var traffic = KeyTraffic()
    for _ in 0..<2 {
      traffic.record(key, Usage(promptTokens: .max, completionTokens: .max), at: seconds(0))
    }
    #expect(traffic.series.map(\.counts.promptTokens) == [.max])
  }
}
