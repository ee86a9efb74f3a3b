import Limits

/// Draws a `TaskTimeline` as text, one line per bar.
public struct GanttChart: Sendable {
  private let timeline: TaskTimeline

  public init(_ timeline: TaskTimeline) { self.timeline = timeline }

  public static let legend =
    "* the answer waited for it   - until its first token   = writing   x failed"

  /// - Parameter width: columns of the chart itself, without names and times.
  public func lines(width: Int) -> [String] {
    let bars = timeline.bars
    guard !bars.isEmpty else { return [] }
    let width = max(width, 10)
    let names = bars.map { bar in
      (bar.isCritical ? "* " : "  ") + TextTable.printable(bar.name)
        + (bar.attempt > 1 ? " (\(bar.attempt))" : "")
    }
    let widest = names.map(\.count).max() ?? 0
    let times = bars.map { Self.milliseconds($0.end - $0.start) }
    let longest = times.map(\.count).max() ?? 0
    let total = Self.milliseconds(timeline.length) + " ms"
    var lines = [
      String(repeating: " ", count: widest) + "  0 ms"
        + String(repeating: " ", count: max(1, width - 4 - total.count)) + total
    ]
    for (index, bar) in bars.enumerated() {
      let host = bar.host.map { "  " + TextTable.printable($0) } ?? ""
      lines.append(
        names[index] + String(repeating: " ", count: widest - names[index].count) + " |"
          + row(bar, width) + "| "
          + String(repeating: " ", count: longest - times[index].count) + times[index] + " ms"
          + host)
    }
    return lines
  }

  private func row(_ bar: TaskTimeline.Bar, _ width: Int) -> String {
    // A bar has at least one column, even if its task took no time.
    let start = min(width - 1, column(bar.start, width))
    let end = max(start + 1, column(bar.end, width))
    let first = bar.firstToken.map { min(max(start, column($0, width)), end) }
    var row = String(repeating: " ", count: start)
    if bar.isTask {
      let waited = (first ?? end) - start
      row +=
        String(repeating: "-", count: waited) + String(repeating: "=", count: end - start - waited)
    } else {
      row += String(repeating: "=", count: end - start)
    }
    if !bar.error.isEmpty {
      row.removeLast()
      row += "x"
    }
    return row + String(repeating: " ", count: width - end)
  }

  private func column(_ time: UInt64, _ width: Int) -> Int {
    guard timeline.length > 0 else { return 0 }
    let share = Double(time) / Double(timeline.length)
    return min(width, max(0, Int(clamping: (share * Double(width)).rounded(.down))))
  }

  /// Formats microseconds as milliseconds with one decimal.
  public static func milliseconds(_ microseconds: UInt64) -> String {
    let tenths = microseconds / 100
    return "\(tenths / 10).\(tenths % 10)"
  }
}
