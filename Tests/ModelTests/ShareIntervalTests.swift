import ClusterModel
import Testing

@Suite("Intervals of shares and means")
struct ShareIntervalTests {
  @Test(
    "Wilson's interval equals known values",
    arguments: [
      (0.0, 10.0, 0, 278), (10.0, 10.0, 722, 1_000), (5.0, 10.0, 236, 764),
      (1.0, 20.0, 8, 237), (50.0, 100.0, 403, 597),
    ])
  func wilson(part: Double, whole: Double, low: Int, high: Int) {
    let interval = ShareInterval(part: part, of: whole)
    #expect(interval.lowMilli == low && interval.highMilli == high)
  }

  @Test("nothing is known without observations, and no value leaves the range")
  func bounds() {
    for whole in [0, -1, Double.nan, .infinity] {
      let interval = ShareInterval(part: 1, of: whole)
      #expect(interval.lowMilli == 0 && interval.highMilli == 1_000)
    }
    #expect(ShareInterval(part: 20, of: 10) == ShareInterval(part: 10, of: 10))
    #expect(ShareInterval(part: -1, of: 10) == ShareInterval(part: 0, of: 10))
  }

  @Test("intervals overlap if they share a value")
  func overlap() {
    let low = ShareInterval(part: 10, of: 100)
    let high = ShareInterval(part: 90, of: 100)
    let wide = ShareInterval(part: 1, of: 2)
    #expect(!low.overlaps(high) && !high.overlaps(low))
    #expect(low.overlaps(wide) && wide.overlaps(high) && low.overlaps(low))
  }

  @Test("a model's share counts the drafts that were chosen and those that agreed")
  func share() {
    let skill = ModelSkill(
      model: "m1", kind: .closed, draftedMilli: 10_000, chosenMilli: 3_000, agreedMilli: 2_000,
      repairedMilli: 0, rejectedMilli: 0)
    #expect(skill.share == ShareInterval(part: 5, of: 10))
  }

  @Test("a mean has an interval from two values on")
  func means() throws {
    #expect(MeanInterval(count: 1.9, sum: 1, squares: 1) == nil)
    // 1, 2, 3, 4: the mean is 2.5, and the sample's standard deviation is 1.291.
    let interval = try #require(MeanInterval(count: 4, sum: 10, squares: 30))
    #expect(interval.mean == 2.5)
    #expect(abs(interval.low - 1.2349) < 0.001 && abs(interval.high - 3.7651) < 0.001)
    let same = try #require(MeanInterval(count: 4, sum: 8, squares: 16))
    #expect(same.low == 2 && same.high == 2)
  }
}
