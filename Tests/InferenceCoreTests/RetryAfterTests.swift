import InferenceCore
import Testing

@Suite("For how long a busy host asks to be left alone")
struct RetryAfterTests {
  /// Sun, 06 Nov 1994 08:49:37 GMT.
  private static let date = 784_111_777

  @Test(
    "seconds, parts of them, and dates",
    arguments: [
      ("0", .zero), ("30", .seconds(30)), (" 7 ", .seconds(7)), ("1.5", .milliseconds(1_500)),
      ("0.0001", .milliseconds(1)), ("86400", .seconds(86_400)),
      ("Sun, 06 Nov 1994 08:49:37 GMT", .zero), ("Sun, 06 Nov 1994 08:50:00 GMT", .seconds(23)),
      ("Mon, 07 Nov 1994 08:49:36 GMT", .seconds(86_399)),
      ("Sat, 05 Nov 1994 08:49:37 GMT", .zero),
    ] as [(String, Duration)])
  func readable(_ value: String, _ wait: Duration) {
    #expect(RetryAfter.duration(value, now: Self.date) == wait)
  }

  @Test(
    "all other values are ignored",
    arguments: [
      "", "soon", "-1", "1e9", "86401", "nan", "inf", "12 s", "Sun, 06 Nov 1994",
      "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 2094 08:49:37 GMT",
      "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
    ])
  func unreadable(_ value: String) {
    #expect(RetryAfter.duration(value, now: Self.date) == nil)
  }

  @Test(
    "leap days are counted",
    arguments: [
      ("29 Feb 2024", 1_709_164_800), ("01 Mar 2024", 1_709_251_200), ("01 Jan 2000", 946_684_800),
      ("28 Feb 2100", 4_107_456_000), ("01 Mar 2100", 4_107_542_400),
    ])
  func leapDays(_ day: String, _ seconds: Int) {
    #expect(RetryAfter.duration("Day, \(day) 00:00:09 GMT", now: seconds) == .seconds(9))
  }
}
