import Foundation
import Synchronization
import Telemetry

/// The value of the header `Date` (RFC 9110, section 6.6.1), made at most once per second.
final class DateHeader: Sendable {
  private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  private let calendar: Calendar
  private let last = Mutex((second: Int.min, text: ""))

  init() {
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    self.calendar = calendar
  }

  var value: String { value(at: Int(UnixTime.milliseconds() / 1_000)) }

  /// - Parameter second: Unix time in seconds.
  func value(at second: Int) -> String {
    last.withLock { last in
      if last.second != second { last = (second, text(second)) }
      return last.text
    }
  }

  private func text(_ second: Int) -> String {
    let date = Date(timeIntervalSince1970: Double(second))
    let parts = calendar.dateComponents(
      [.weekday, .day, .month, .year, .hour, .minute, .second], from: date)
    func two(_ number: Int?) -> String {
      let number = number ?? 0
      return number < 10 ? "0\(number)" : "\(number)"
    }
    let day = Self.days[(parts.weekday ?? 1) - 1]
    let month = Self.months[(parts.month ?? 1) - 1]
    return "\(day), \(two(parts.day)) \(month) \(parts.year ?? 0) "
      + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
  }
}
