extension Limits {
  static let usage: [Limit] = [
    usageDays, usageModels, usageRows, usageFreeRows, usageCalls, usageReports, usageReportAge,
    budgetSeries,
  ]

  public static let usageDays = Limit(
    "usage.days", 31, .count,
    "Days with sums of requests, tokens and cost by key and model: any calendar month.")
  public static let usageModels = Limit(
    "usage.models", 32, .count,
    "Models of one key on one day with sums of their own; further ones are added together. A full "
      + "report has 1,023 rows and fits into one frame of the bus.")
  public static let usageRows = Limit(
    "usage.rows", 131_072, .count,
    "Rows of the registry's sums: 4,000 keys that use one model each on every day. With about 200 "
      + "bytes each they take 25 MiB. If more rows are needed, the oldest day is dropped.")
  public static let usageFreeRows = Limit(
    "usage.free_rows", 32_768, .count,
    "Rows of one gateway's sums of requests that cost nothing: 6 MiB.")
  public static let usageCalls = Limit(
    "usage.calls", 16, .count,
    "Reports that one gateway requests from the registry at once. Each takes about a millisecond.")
  public static let usageReports = Limit(
    "usage.reports", 64, .count,
    "Reports that one gateway keeps: 6 MiB if all are full.")
  public static let usageReportAge = Limit(
    "usage.report_age", 1_000, .milliseconds,
    "A key's report is requested from the registry at most once in this time, however often the "
      + "key asks for it.")
  public static let budgetSeries = Limit(
    "usage.budget_series", 20, .count,
    "Budgets, and warning thresholds, with metrics of their own. The budgets with the largest spent "
      + "part are listed.")
}
