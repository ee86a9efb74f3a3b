extension Limits {
  static let money: [Limit] = [
    amountBytes, priceRows, publishedPrices, unstatedAnswerTokens, unstatedPlanTokens,
    planReadings, billedAnswers, billedAttempts, transactionIDBytes, transactionEntries,
    transactionNoteBytes, accountNameBytes, rememberedTransactions,
    budgetWarnings,
  ]

  public static let amountBytes = Limit(
    "money.amount_bytes", 32, .bytes,
    "The largest amount has 13 digits, a point and 6 decimals.")
  public static let priceRows = Limit(
    "money.price_rows", 10_000, .count,
    "A thousand models on some hosts each, repriced a few times. The book is 1 MiB.")
  public static let publishedPrices = Limit(
    "money.published_prices", 3_000, .count,
    "Prices that gateways know, including those that apply later. No more models can have a "
      + "price. With model names of 256 bytes each, the table fits into one frame of the bus.")
  public static let unstatedAnswerTokens = Limit(
    "money.unstated_answer_tokens", 16_384, .count,
    "Longest answer to a paid request that states no `max_tokens`, if its model has room for it. The "
      + "request holds this much of its key's money; longer answers are rare.")
  public static let unstatedPlanTokens = Limit(
    "money.unstated_plan_tokens", 262_144, .count,
    "Tokens of a paid plan whose request states no budget, besides its input: 64 tasks of 4,096.")
  public static let planReadings = Limit(
    "money.plan_readings", 16, .count,
    "Number of times that the tasks of a paid plan may read the conversation and the documents, "
      + "all tasks together, if the request states no budget.")
  public static let billedAnswers = Limit(
    "money.billed_answers", 256, .count,
    "A plan has 64 tasks, and each has a few inferences. Tokens of further inferences are paid to "
      + "the host of their task.")
  public static let billedAttempts = Limit(
    "money.billed_attempts", 64, .count,
    "Two legs of a race and a chain of failovers: far more than a retry budget allows.")
  public static let transactionIDBytes = Limit(
    "money.transaction_id_bytes", 512, .bytes,
    "The names of a gateway, a key and a model with table.model_name_bytes, and a number. Names "
      + "of accounts and records have the same limit.")
  public static let transactionEntries = Limit(
    "money.transaction_entries", 1_024, .count,
    "A plan of 64 tasks that pays 15 different hosts for each task. It has at most one entry for "
      + "each of table.hosts.")
  public static let transactionNoteBytes = Limit(
    "money.transaction_note_bytes", 16 << 10, .bytes,
    "Key, model and tokens of 64 tasks, or a page written by an admin.")
  public static let accountNameBytes = Limit(
    "money.account_name_bytes", 512, .bytes, "A host's name with its prefix.")
  public static let rememberedTransactions = Limit(
    "money.remembered_transactions", 1 << 18, .count,
    "Half an hour at 100 settlements per second, in some 40 MiB. Repeats come within seconds. The "
      + "store is asked for older ids.")
  public static let budgetWarnings = Limit(
    "money.budget_warnings", 16, .count,
    "Thresholds of one budget: each is a metric and a log event per period.")
}
