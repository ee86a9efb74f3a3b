extension Limits {
  static let storage = [
    crashReportTime, crashReportBytes, crashReports, childLogBytes, logBytes, logBytesLeast,
    storeQueries, waitingChanges, recordedShares, recordedRefusals, refusalPause, hostChangePause,
    brokenAnswers, brokenAnswerPause, crashListBytes, clockTrust, yamlAliases,
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
  public static let storeQueries = Limit(
    "store.queries", 2, .count,
    "Queries that the monitor makes at once: as many as SQLite has readers here. Keys and addresses "
      + "take turns, because a query for a key's usage may read 200,000 rows.")
  public static let waitingChanges = Limit(
    "store.waiting_changes", 256, .count,
    "Changes of one kind that admins have ordered and that wait for the store. Each has up to 64 "
      + "KiB. An admin who gives up and orders again while the store does not respond must not "
      + "fill the memory.")
  public static let recordedShares = Limit(
    "store.recorded_shares", 16, .count,
    "Hosts and models that the record of one request names with their tokens. Plans of the patterns "
      + "use fewer; with the longest names, a record has some 10 KiB.")
  public static let recordedRefusals = Limit(
    "store.recorded_refusals", 256, .count,
    "Refused requests that one gateway records at once: wrong keys, unknown models, limits. Metrics "
      + "count all of them.")
  public static let refusalPause = Limit(
    "store.refusal_pause", 1_000, .milliseconds,
    "Pause between further records of refused requests. The store keeps 200,000 requests; without a "
      + "bound, a client without a key could displace all of them in a minute.")
  public static let hostChangePause = Limit(
    "store.host_change_pause", 10_000, .milliseconds,
    "Average pause between log lines about states of hosts, after one for each host. A host that "
      + "fails every other probe would write 40,000 lines a day.")
  public static let brokenAnswers = Limit(
    "store.broken_answers", 64, .count,
    "Lines about broken answers that one process logs at once: as many as break when a busy host "
      + "dies. Metrics count all of them.")
  public static let brokenAnswerPause = Limit(
    "store.broken_answer_pause", 1_000, .milliseconds,
    "Average pause between further lines about broken answers. A host that breaks off every answer "
      + "must not fill the log store.")
  public static let crashListBytes = Limit(
    "store.crash_list_bytes", 1 << 20, .bytes,
    "Bytes of DATA_DIR/crashes.json that the monitor reads: some 300 bytes for each process of "
      + "`tutti up` that has crashed.")
  public static let clockTrust = Limit(
    "store.clock_trust", 3_600_000, .milliseconds,
    "After a start or a jump of the clock nothing is dropped by age for this time, because a "
      + "wrong clock is usually corrected within minutes. The limit in bytes applies meanwhile.")
  public static let yamlAliases = Limit(
    "file.yaml_aliases", 24, .count,
    "Aliases (`*name`) in a configuration or cluster file, which needs none. Nested lists of "
      + "aliases multiply: with 24 aliases, a name stands for at most some 7,000 parts.")
}
