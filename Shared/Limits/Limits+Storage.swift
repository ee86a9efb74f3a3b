extension Limits {
  static let storage = [
    crashReportTime, crashReportBytes, crashReports, childLogBytes, logBytes, logBytesLeast,
    clockTrust,
  ]

  public static let crashReportTime = Limit(
    "crash.report_time", 20_000, .milliseconds,
    "A debug build is symbolised in about 5 s. The crashed process itself ends at once; only its "
      + "copy takes this time.")
  public static let crashReportBytes = Limit(
    "crash.report_bytes", 4 << 20, .bytes,
    "A backtrace of all threads has some 100 KiB; a runaway one must not fill the disk.")
  public static let crashReports = Limit(
    "crash.reports", 4, .count,
    "Reports kept per process name: a crash loop writes the same one again and again.")
  public static let childLogBytes = Limit(
    "up.log_bytes", 8 << 20, .bytes,
    "Per log file of a child, and as much again for the rotated part. `tutti up` checks every 10 s."
  )
  public static let logBytes = Limit(
    "store.log_bytes", 512 << 20, .bytes,
    "Logs, spans and requests of a week at a few requests a second; a laptop can spare this.")
  public static let logBytesLeast = Limit(
    "store.log_bytes_least", 4 << 20, .bytes,
    "The lowest value of the setting: empty tables, their indexes and one write must fit.")
  public static let clockTrust = Limit(
    "store.clock_trust", 3_600_000, .milliseconds,
    "After a start or a jump of the clock nothing is dropped by age for this time: a wrong clock "
      + "is usually corrected within minutes, and the limit in bytes applies meanwhile.")
}
