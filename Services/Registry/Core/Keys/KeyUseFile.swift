import Access
import ClusterModel
import Limits

/// Format of the registry's file with the day's use of keys.
///
/// After the first line, each line is one row of the book: the key, the incarnation and hours of a
/// gateway process, and its name. An hour is its number with its requests and tokens.
///
///     tutti key use 1
///     abcdefghijkl 17 475000:3:120,475001:1:8 gateway-1
public enum KeyUseFile {
  private static let firstLine = Array("tutti key use 1\n".utf8)
  /// Bytes after which a slice ends. The whole text of a full book has several MiB.
  private static let sliceBytes = 64 << 10

  /// The file's text in slices, so that only one slice is in memory.
  public struct Slices: Sendable {
    private let rows: [KeyUseBook.Row]
    private var next = 0
    private var hasBegun = false

    public init(_ rows: [KeyUseBook.Row]) { self.rows = rows }

    /// - Returns: the next slice. `nil` means that the text is complete.
    public mutating func take() -> [UInt8]? {
      guard !hasBegun || next < rows.count else { return nil }
      var slice = hasBegun ? [] : KeyUseFile.firstLine
      hasBegun = true
      while next < rows.count, slice.count < KeyUseFile.sliceBytes {
        KeyUseFile.append(rows[next], to: &slice)
        next += 1
      }
      return slice
    }
  }

  private static func append(_ row: KeyUseBook.Row, to text: inout [UInt8]) {
    let name = row.process.name.utf8
    // A reader would take the rest of such a name for a row. No gateway has one.
    guard !name.contains(UInt8(ascii: "\n")) else { return }
    text += row.use.key.description.utf8
    text.append(UInt8(ascii: " "))
    text += String(row.process.incarnation).utf8
    text.append(UInt8(ascii: " "))
    for (index, use) in row.use.hours.enumerated() {
      if index > 0 { text.append(UInt8(ascii: ",")) }
      text += String(use.hour).utf8
      text.append(UInt8(ascii: ":"))
      text += String(use.requests).utf8
      text.append(UInt8(ascii: ":"))
      text += String(use.tokens).utf8
    }
    text.append(UInt8(ascii: " "))
    text += name
    text.append(UInt8(ascii: "\n"))
  }

  // MARK: - Reading

  /// The rows of a file's text. `nil` means that the text is damaged.
  public static func rows(in text: [UInt8]) -> [KeyUseBook.Row]? {
    guard text.starts(with: firstLine), text.last == UInt8(ascii: "\n") else { return nil }
    var rows: [KeyUseBook.Row] = []
    for line in text.dropFirst(firstLine.count).split(separator: UInt8(ascii: "\n")) {
      guard let row = parsedRow(line) else { return nil }
      rows.append(row)
    }
    return rows
  }

  private static func parsedRow(_ line: ArraySlice<UInt8>) -> KeyUseBook.Row? {
    let fields = line.split(
      separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
    guard fields.count == 4, let key = KeyID(fields[0]),
      let incarnation = UInt64(String(decoding: fields[1], as: UTF8.self))
    else { return nil }
    var hours: [HourlyUse] = []
    for field in fields[2].split(separator: UInt8(ascii: ",")) {
      let numbers = field.split(separator: UInt8(ascii: ":"))
        .compactMap { Int64(String(decoding: $0, as: UTF8.self)) }
      guard numbers.count == 3, hours.count < DayUse.mostHours else { return nil }
      hours.append(
        HourlyUse(hour: numbers[0], requests: count(numbers[1]), tokens: count(numbers[2])))
    }
    let name = String(decoding: fields[3], as: UTF8.self)
    return KeyUseBook.Row(
      process: PeerID(name: name, incarnation: incarnation), use: DayUse(key: key, hours: hours))
  }

  /// No key can have a higher limit, and sums of such counts do not overflow.
  private static func count(_ stored: Int64) -> Int {
    min(max(0, Int(clamping: stored)), Limits.accessRateLimit.value)
  }
}
