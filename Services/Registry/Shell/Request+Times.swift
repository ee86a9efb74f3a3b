import Hummingbird
import Money

// Times in parameters of the admin API, in milliseconds since 1970.

extension Request {
  /// Permitted times: the years 1970 … 9999.
  private static let permittedTimes =
    Int(UTCDate.times.lowerBound)...Int(UTCDate.times.upperBound)

  /// A time. `nil` means that the parameter is absent.
  func time(_ name: String) throws -> Int64? {
    guard text(name) != nil else { return nil }
    return Int64(try number(name, in: Self.permittedTimes, or: Self.permittedTimes.lowerBound))
  }

  /// The times from `from_ms` to `to_ms`, without the end.
  ///
  /// Without `from_ms`, or with 0, the range begins before 1970, where a clock may have been set.
  var timeRange: Range<Int64> {
    get throws {
      let from = try time("from_ms") ?? 0
      let until = try time("to_ms") ?? .max
      guard from <= until else {
        throw AdminFailure(invalid: "from_ms is after to_ms.", param: "from_ms")
      }
      return (from == 0 ? .min : from)..<until
    }
  }
}
