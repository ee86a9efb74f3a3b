extension Limits {
  static let accountLimits: [Limit] = [accounts, accountBudgets, accountInbox, accountBatch]

  public static let accounts = Limit(
    "accounts.count", 16_384, .count,
    "Organisations and teams of one registry: as many as access.keys. Each takes about 300 bytes.")
  public static let accountBudgets = Limit(
    "accounts.budgets", 12, .count,
    "Budgets of one account: each of the six periods, by calendar and rolling.")
  public static let accountInbox = Limit(
    "accounts.inbox", 65_536, .count,
    "Messages about money that wait for a write: as many as a gateway's unconfirmed settlements. "
      + "Further messages are dropped, and gateways repeat them.")
  public static let accountBatch = Limit(
    "accounts.batch", 1_024, .count,
    "Messages that share one durable write, which takes some 20 ms for this many.")
}
