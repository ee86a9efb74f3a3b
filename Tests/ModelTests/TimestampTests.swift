import ClusterModel
import Testing

@Suite("Times as text")
struct TimestampTests {
  private static let edges: [(UInt64, String)] = [
    (0, "1970-01-01T00:00:00.000000Z"), (951_782_399_999_999, "2000-02-28T23:59:59.999999Z"),
    (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
    (1_735_689_599_000_000, "2024-12-31T23:59:59.000000Z"),
    (1_769_862_896_789_012, "2026-01-31T12:34:56.789012Z"),
    (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
    (Timestamp.latest, "9999-12-31T23:59:59.999999Z"),
  ]

  @Test("times are right at the edges of the calendar, and are read as they were written")
  func written() {
    for (microseconds, text) in Self.edges {
      #expect(Timestamp(unixMicroseconds: microseconds).rfc3339 == text)
      #expect(Timestamp(rfc3339: text)?.unixMicroseconds == microseconds, "\(text)")
    }
    #expect(Timestamp(unixMicroseconds: .max).rfc3339 == "9999-12-31T23:59:59.999999Z")
  }

  @Test("days of 400 years are read as they were written")
  func days() {
    // 11 has no common factor with the lengths of weeks, years and cycles of years.
    for day in stride(from: UInt64(0), to: 146_097, by: 11) {
      let time = Timestamp(unixMicroseconds: day * 86_400_000_000 + 86_399_000_001)
      guard Timestamp(rfc3339: time.rfc3339) != time else { continue }
      Issue.record("\(time) is read as \(String(describing: Timestamp(rfc3339: time.rfc3339)))")
      return
    }
  }

  @Test("offsets, lower case and fractions of any length are read")
  func forms() {
    let noon: UInt64 = 1_769_860_800_000_000
    for text in [
      "2026-01-31T12:00:00Z", "2026-01-31t12:00:00z", "2026-01-31T12:00:00.0Z",
      "2026-01-31T14:00:00+02:00", "2026-01-31T06:30:00-05:30", "2026-02-01T11:59:00+23:59",
      "2026-01-31T12:00:00.000000999Z", "2026-01-31T11:59:60Z",
    ] {
      #expect(Timestamp(rfc3339: text)?.unixMicroseconds == noon, "\(text)")
    }
    #expect(Timestamp(rfc3339: "2026-01-31T12:00:00.25Z")?.unixMicroseconds == noon + 250_000)
  }

  @Test(
    "a text that is no time is refused",
    arguments: [
      "", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z",
      "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-00-01T00:00:00Z",
      "2026-13-01T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-00T00:00:00Z",
      "2026-01-31T24:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z",
      "2026-01-31T12:00:00.Z", "2026-01-31T12:00:00+0200", "2026-01-31T12:00:00+24:00",
      "2026-01-31T12:00:00ZZ", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
      "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01", "-026-01-31T12:00:00Z",
      "2026-01-31T12:00:00.١Z",
    ])
  func refused(_ text: String) {
    #expect(Timestamp(rfc3339: text) == nil)
  }

  @Test("the start of a query is a duration before now, a time, or microseconds")
  func since() {
    let now = Timestamp(unixMicroseconds: 1_769_862_896_789_012)
    func since(_ text: String) -> UInt64? {
      SinceArgument(text, now: now)?.time.unixMicroseconds
    }
    #expect(since("90s") == now.unixMicroseconds - 90_000_000)
    #expect(since("15m") == now.unixMicroseconds - 900_000_000)
    #expect(since("1h") == now.unixMicroseconds - 3_600_000_000)
    #expect(since("2d") == now.unixMicroseconds - 172_800_000_000)
    #expect(since("0s") == now.unixMicroseconds)
    #expect(since("1769860800000000") == 1_769_860_800_000_000)
    #expect(since("2026-01-31T12:00:00Z") == 1_769_860_800_000_000)
    // Durations that reach back beyond 1970, and times beyond the calendar.
    #expect(since("99999999d") == 0)
    #expect(since("\(UInt64.max)d") == 0)
    #expect(since("\(UInt64.max)") == Timestamp.latest)
    for text in [
      "", "h", "1w", "-1h", "+1h", "+5", "1.5h", "1 h", "h1", "1H", "99999999999999999999s",
    ] {
      #expect(since(text) == nil, "\(text)")
    }
  }
}
