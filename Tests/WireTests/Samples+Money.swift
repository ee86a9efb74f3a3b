import BusCore
import ClusterModel
import Money

extension Samples {
  private static let lease = LeaseID(gateway: PeerID(name: "gateway-1", incarnation: 12), number: 3)
  private static let leaseSettlement = LeaseSettlement(
    lease: lease, key: AccountID("abcdefghijkl"), number: 4, request: 5,
    hold: MicroCredits(.max), billed: MicroCredits(7))
  private static let renewal = LeaseRenewal(
    gateway: PeerID(name: "gateway-1", incarnation: 12), number: 6, oldest: 2, confirmed: 3)
  private static let leaseReturn = LeaseReturn(
    lease: lease, returned: MicroCredits(5), withdrawn: 2, closes: true)
  private static let tokenPrice = try! TokenPrice(
    input: MicroCredits(150_000), cachedInput: MicroCredits(15_000), output: TokenPrice.highest)
  private static let settlement = Settlement(
    lease: leaseSettlement, trace: "00000000000000010000000000000002", model: "m1",
    admittedAt: 1_900_000_000_000, price: tokenPrice,
    answers: [
      SettledAnswer(
        usage: try! TokenUsage(prompt: 8, cached: 3, completion: 9),
        attempts: [
          SettledAttempt(
            host: "h1", model: "m1", usage: try! TokenUsage(prompt: 8, cached: 3, completion: 12),
            contributed: 9, role: .winner, hostPrice: tokenPrice),
          SettledAttempt(
            host: "h2", model: "m1", usage: try! TokenUsage(prompt: 8, completion: 1),
            contributed: 0, role: .loser),
        ]),
      SettledAnswer(usage: .zero, attempts: [], price: .free),
    ])
  private static let priceTable = try! PriceTable(
    epoch: 9, revision: 8, unknown: .free,
    rows: [
      PriceRow(model: "m1", effectiveFrom: -1, price: tokenPrice),
      PriceRow(model: "é", effectiveFrom: 1_900_000_000_000, price: .free),
    ])

  /// Messages about leases, prices and spending.
  static let moneyBodies: [(String, Body)] = [
    (
      "lease_ask",
      .leaseRequest(
        .ask(
          LeaseAsk(
            lease: lease, key: AccountID("abcdefghijkl"), number: 9, granted: MicroCredits(10),
            returned: MicroCredits(1), held: MicroCredits(2), minimum: MicroCredits(3),
            worst: MicroCredits(4), want: MicroCredits(5), isLastCall: true)))
    ),
    ("lease_give_back", .leaseRequest(.giveBack(leaseReturn))),
    ("lease_settle", .leaseRequest(.settle(leaseSettlement))),
    ("lease_renew", .leaseRequest(.renew(renewal))),
    (
      "lease_granted",
      .leaseAnswer(
        .granted(
          LeaseGrant(
            lease: lease, ask: 9, total: MicroCredits(20), isRest: true,
            ceiling: Ceiling(
              id: CeilingID("org/é"), remaining: MicroCredits(-4), resetsAt: 1_900_000_000_000))))
    ),
    (
      "lease_refused",
      .leaseAnswer(
        .refused(
          lease, ask: 9,
          .ceiling(
            Ceiling(
              id: CeilingID("key/é"), remaining: MicroCredits(-4), resetsAt: 1_900_000_000_000))))
    ),
    (
      "lease_waiting",
      .leaseAnswer(
        .waiting(
          lease, ask: 9, .ceiling(Ceiling(id: CeilingID("org/a"), remaining: MicroCredits(1)))))
    ),
    ("lease_refused_key", .leaseAnswer(.refused(lease, ask: 9, .key))),
    ("lease_refused_invalid", .leaseAnswer(.refused(lease, ask: 9, .invalid))),
    ("lease_waiting_leases", .leaseAnswer(.waiting(lease, ask: 9, .tooManyLeases))),
    ("lease_recalled", .leaseAnswer(.recalled(lease))),
    ("lease_returned", .leaseAnswer(.returned(leaseReturn))),
    ("lease_renewed", .leaseAnswer(.renewed(renewal, settledThrough: 4))),
    ("lease_settled", .leaseAnswer(.settled(lease.gateway, through: 4))),
    ("lease_ended", .leaseAnswer(.ended(lease.gateway, through: 3))),
    ("lease_unknown", .leaseAnswer(.unknown(lease))),
    ("settlements", .settlements([settlement, settlement])),
    ("price_table_request", .priceTableRequest),
    ("price_table", .priceTable(priceTable)),
    (
      "price_table_empty",
      .priceTable(try! PriceTable(epoch: 9, revision: 1, unknown: .refuse))
    ),
    ("spending_query", .spendingQuery(SpendingQuery(key: AccountID("key/é"), days: 31))),
    (
      "spending_report",
      .spendingReport(
        SpendingReport(
          key: AccountID("key/é"),
          budgets: [
            SpendingReport.Budget(
              owner: .team, id: "acme/lab", window: BudgetWindow(.rolling, .quarter),
              amount: MicroCredits(9), spent: MicroCredits(11), resetsAt: 1_900_000_000_000),
            SpendingReport.Budget(
              owner: .key, id: "", window: BudgetWindow(.calendar, .hour), amount: .zero,
              spent: .zero, resetsAt: nil),
          ],
          balance: SpendingReport.Balance(
            organisation: "acme", available: MicroCredits(-4), held: MicroCredits(3)),
          rows: [
            DailyUsage.Row(
              day: 20_000, model: "m1", requests: 2,
              usage: try! TokenUsage(prompt: 8, cached: 3, completion: 9), cost: MicroCredits(7))
          ], firstDay: -1))
    ),
    (
      "spending_report_empty",
      .spendingReport(
        SpendingReport(key: AccountID(""), budgets: [], balance: nil, rows: [], firstDay: 0))
    ),
  ]
}
