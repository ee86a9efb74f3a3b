extension UTCDate {
  /// Parses a date, or a date and time in UTC. A date alone means its first millisecond.
  ///
  /// - Parameter text: `2027-01-31`, `2027-01-31T12:00Z` or `2027-01-31T12:00:00Z`. The result is
  ///   `nil` for any other form, for a day that does not exist, and for a time outside `times`.
  public init?(_ text: String) {
    let text = Array(text.utf8)
    guard [10, 17, 20].contains(text.count), let year = Self.number(text, 0..<4),
      let month = Self.number(text, 5..<7), let day = Self.number(text, 8..<10),
      Self.has("-", in: text, at: [4, 7]), (1...12).contains(month)
    else { return nil }
    var time: Int64 = 0
    if text.count > 10 {
      guard let hour = Self.number(text, 11..<13), let minute = Self.number(text, 14..<16),
        let second = text.count == 20 ? Self.number(text, 17..<19) : 0,
        Self.has("T", in: text, at: [10]), Self.has("Z", in: text, at: [text.count - 1]),
        Self.has(":", in: text, at: text.count == 20 ? [13, 16] : [13]),
        hour < 24, minute < 60, second < 60
      else { return nil }
      time = ((hour * 60 + minute) * 60 + second) * 1_000
    }
    let start = Self.start(ofMonth: month, in: year)
    let milliseconds = start + (day - 1) * Self.millisecondsPerDay + time
    guard Self.times.contains(milliseconds) else { return nil }
    self.init(milliseconds: milliseconds)
    // 31 February would become 3 March, so a day that the month does not have is refused.
    guard self.month == month, self.day == day else { return nil }
  }

  /// Milliseconds since 1970.
  public var milliseconds: Int64 {
    Self.start(ofMonth: month, in: year) + (day - 1) * Self.millisecondsPerDay + millisecondOfDay
  }

  /// The digits at these places as a number. `nil` means that another character is among them.
  private static func number(_ text: [UInt8], _ places: Range<Int>) -> Int64? {
    var number: Int64 = 0
    for byte in text[places] {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      number = number * 10 + Int64(byte - UInt8(ascii: "0"))
    }
    return number
  }

  private static func has(_ character: Unicode.Scalar, in text: [UInt8], at places: [Int]) -> Bool {
    places.allSatisfy { text[$0] == UInt8(ascii: character) }
  }
}
