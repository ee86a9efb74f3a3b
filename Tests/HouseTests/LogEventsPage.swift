import Logging
import Telemetry

/// Makes docs/manual/log-events.md from the catalogue of log events.
enum LogEventsPage {
  static var markdown: String {
    var page = """
      # Log events

      All warnings and errors of the services, and the notices that end them. Generated from
      `Shared/Telemetry/LogEvents.swift`; change it there and run `make manual`.

      Each line has the member `event`, so that a filter or an alert does not depend on the message.
      `tutti logs --level warning --since 1h` shows the lines of the last hour.

      | event | level | message | meaning |
      |---|---|---|---|

      """
    for event in LogEvents.allCases {
      page += "| `\(event.rawValue)` | \(event.level.rawValue) | \(event.message) "
      page += "| \(event.meaning) |\n"
    }
    return page
  }
}
