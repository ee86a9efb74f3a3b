/// Detects a text that repeats one short phrase without end, as small models sometimes do.
///
/// The text repeats if its last `leastBytes` bytes or more are `leastPeriods` or more copies of a
/// phrase of at most `longestPeriod` bytes. A list of similar lines is no repetition, because each
/// copy must have the same bytes.
///
/// The result depends only on the text, not on its division into chunks. The work is at most
/// `stepsPerByte` for each byte.
struct RepetitionMeter: Sendable {
  /// Maximum bytes of the repeated phrase: a long sentence.
  static let longestPeriod = 256
  /// Minimum bytes of the repetition, about 200 tokens. Rulers, empty table rows and short refrains
  /// are shorter. A repetition is noticed up to two windows later.
  static let leastBytes = 768
  static let leastPeriods = 8
  /// Bytes in which a period is searched. Two copies of the longest phrase fit, so that the shortest
  /// period of the window is the period of the whole repetition.
  static let window = 2 * longestPeriod
  /// Maximum comparisons for each byte: one with the current period, and two in a search.
  static let stepsPerByte = 4

  /// The last `window` bytes. The byte with number n is at `n % window`.
  private var recent = [UInt8](repeating: 0, count: RepetitionMeter.window)
  /// For each beginning of the window, the length of its longest border: a shorter beginning that
  /// is also its end.
  private var borders = [UInt16](repeating: 0, count: RepetitionMeter.window)
  private var count = 0
  /// Period of the last `repeated` bytes. 0 means that no period is known.
  private var period = 0
  private var repeated = 0
  /// Comparisons since the last `takeWork()`.
  private var work = 0

  /// Takes more text.
  /// - Returns: whether the text repeats itself. The rest of `text` is then ignored.
  mutating func take(_ text: some Sequence<UInt8>) -> Bool {
    for byte in text {
      if take(byte) { return true }
    }
    return false
  }

  /// Comparisons since the last call.
  mutating func takeWork() -> Int {
    defer { work = 0 }
    return work
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    work += 1
    if period > 0 {
      if recent[(count - period) % Self.window] == byte {
        repeated += 1
      } else {
        period = 0
      }
    }
    recent[count % Self.window] = byte
    count += 1
    // After a whole number of windows, `recent` has the bytes in their order.
    if period == 0, count % Self.window == 0 { findPeriod() }
    return period > 0 && repeated >= max(Self.leastBytes, Self.leastPeriods * period)
  }

  /// Finds the shortest period of the window with the failure function of Knuth, Morris and Pratt.
  private mutating func findPeriod() {
    var border = 0
    for place in 1..<Self.window {
      work += 1
      while border > 0, recent[place] != recent[border] {
        border = Int(borders[border - 1])
        work += 1
      }
      if recent[place] == recent[border] { border += 1 }
      borders[place] = UInt16(border)
    }
    let shortest = Self.window - border
    guard shortest <= Self.longestPeriod else { return }
    period = shortest
    repeated = Self.window
  }
}
