import ClusterModel

/// Prints rows with columns of fixed width, and formats numbers.
enum Table {
  static func line(_ name: String, _ cells: [String]) {
    print(
      name + String(repeating: " ", count: max(1, 18 - name.count))
        + cells.map { String(repeating: " ", count: max(1, 20 - $0.count)) + $0 }.joined())
  }

  static func whole(_ value: Double) -> String { "\(Int(value.rounded()))" }

  static func twoDecimals(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  static func percent(_ share: Double) -> String { twoDecimals(share * 100) + " %" }

  static func milliseconds(_ duration: Duration) -> Double { duration.inSeconds * 1_000 }
}

/// Durations of many requests.
struct Latencies {
  private var sorted: [Double]

  /// - Parameter milliseconds: in any order.
  init(_ milliseconds: [Double]) { sorted = milliseconds.sorted() }

  var count: Int { sorted.count }

  func quantile(_ p: Double) -> Double {
    guard !sorted.isEmpty else { return .nan }
    return sorted[min(max(Int((p * Double(sorted.count)).rounded(.up)), 1), sorted.count) - 1]
  }
}
