extension Limits {
  static let leases: [Limit] = [
    openLeases, leaseWindow, leasingGateways, recallsAtOnce, leasedKeys, waitingForMoney,
    unconfirmedSettlements, repeatedSettlements, settlementBatch, settlementBatchAnswers,
  ]

  public static let openLeases = Limit(
    "lease.open", 65_536, .count,
    "Leases at the registry: 64 gateways with 1,024 active keys each. Each takes about 400 bytes.")
  public static let leaseWindow = Limit(
    "lease.settlement_window", 4_096, .count,
    "Settlements that may arrive before a lost one is repeated: four seconds at a thousand per "
      + "second. Settlements after these are repeated, too.")
  public static let leasingGateways = Limit(
    "lease.gateways", 4_096, .count,
    "Gateway processes that the registry remembers: 64 gateways that restart 64 times each. The "
      + "process that was silent for longest is forgotten first.")
  public static let recallsAtOnce = Limit(
    "lease.recalls_at_once", 256, .count,
    "Recalls of leases per ceiling and second: all leases of 64 gateways and four keys. Further "
      + "leases are recalled in turn.")
  public static let leasedKeys = Limit(
    "lease.keys_per_gateway", 16_384, .count,
    "Keys with a lease in one gateway. Unused leases end, so these are keys of the last minute.")
  public static let waitingForMoney = Limit(
    "lease.waiting_requests", 1_024, .count,
    "Requests of one key that wait for money in one gateway. Each keeps its body in memory.")
  public static let unconfirmedSettlements = Limit(
    "lease.unconfirmed_settlements", 65_536, .count,
    "A thousand per second for the minute that a lease lasts without the registry. A gateway with "
      + "more admits no paid request until the registry confirms some.")
  public static let repeatedSettlements = Limit(
    "lease.repeated_settlements", 256, .count,
    "Settlements that are sent again at once. Further ones follow after the confirmation, so that "
      + "a returning registry is not flooded.")
  public static let settlementBatch = Limit(
    "lease.settlement_batch", 256, .count,
    "Settlements in one message of some 50 KB: a gateway with 2,500 requests per second fills one "
      + "in 100 ms. A larger batch would save little, because the message and the durable write "
      + "then cost less than a tenth of the settlements.")
  public static let settlementBatchAnswers = Limit(
    "lease.settlement_batch_answers", 256, .count,
    "Answers in all settlements of one message, so that it is not larger than the settlement of the "
      + "largest plan.")
}
