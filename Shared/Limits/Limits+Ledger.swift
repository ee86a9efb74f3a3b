/// Bounds on the records of money on disk, which are a gateway's journal and the registry's ledger.
extension Limits {
  static let ledger = [
    journalSlots, journalHosts, journalReadBytes, journalCopies, ledgerPage, recordBytes,
    auditScan, ledgerScan, ledgerClockStep, ledgerClockPatience, checkpointInterval,
    checkpointBytes,
  ]

  public static let journalSlots = Limit(
    "journal.slots", 4_096, .count,
    "As many requests as memory.process admits at memory.request_floor. Finished answers keep "
      + "their slot until the registry has acknowledged their settlement. The file has 16 MiB.")
  public static let journalHosts = Limit(
    "journal.hosts", 8, .count,
    "Hosts of one answer whose tokens survive a crash of the gateway: a race of three and five "
      + "failovers. After a crash a ninth host is not paid.")
  public static let journalReadBytes = Limit(
    "journal.read_bytes", 64 << 20, .bytes,
    "A journal of another version may have four times as many slots. A larger file counts as "
      + "damaged.")
  public static let journalCopies = Limit(
    "journal.damaged_copies", 8, .count,
    "Damaged journals that are kept for an investigation: a crash loop must not fill the disk.")
  public static let ledgerPage = Limit(
    "ledger.page", 1_000, .count,
    "Rows of one page. A page of settlements has some 500 KB, and takes a few milliseconds.")
  public static let recordBytes = Limit(
    "store.record_bytes", 256 << 10, .bytes,
    "One key, account, price or setting: 1,000 model names of table.model_name_bytes.")
  public static let auditScan = Limit(
    "store.audit_scan", 10_000, .count,
    "Changes of the audit log that are read for one page, if filters leave most of them out. They "
      + "take some 40 ms. The answer names the place from which the list continues.")
  public static let ledgerScan = Limit(
    "ledger.scan", 10_000, .count,
    "Transactions that are read for one page, if a kind, a key or a trace leaves most of them out. "
      + "They are ten of the store's pages. The answer names the place from which the list "
      + "continues.")
  public static let ledgerClockStep = Limit(
    "ledger.clock_step", 86_400_000, .milliseconds,
    "If the clock is set back by less, times in the ledger stand still until the clock has caught "
      + "up. A larger step corrects an earlier jump ahead.")
  public static let ledgerClockPatience = Limit(
    "ledger.clock_patience", 600_000, .milliseconds,
    "Time after which the ledger follows a large step back. A wrong clock at a start is usually "
      + "corrected within minutes.")
  public static let checkpointInterval = Limit(
    "ledger.checkpoint_transactions", 50_000, .count,
    "Transactions between checkpoints of the ledger. A start replays at most about this many, in "
      + "a second. Without usage, a checkpoint has some 6 MiB: a sixth of the bytes of these "
      + "transactions.")
  public static let checkpointBytes = Limit(
    "ledger.checkpoint_bytes", 64 << 20, .bytes,
    "A checkpoint with money.remembered_transactions, lease.open, usage.rows and budgets of all "
      + "accounts. A larger one is not written, and not read.")
}
