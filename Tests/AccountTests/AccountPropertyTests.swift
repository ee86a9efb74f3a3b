import Access
import ClusterModel
import Money
import RegistryCore
import Testing

@Suite("Money of accounts is conserved")
struct AccountPropertyTests {
  private static let hour: Int64 = 3_600_000

  /// Sums of charges by hour, computed from the settlements whose note `isCounted` accepts.
  private func charges(
    _ log: [LedgerTransaction], where isCounted: (String) -> Bool
  ) -> [Int64: Int64] {
    var sums: [Int64: Int64] = [:]
    for transaction in log where transaction.kind == .settle && isCounted(transaction.note) {
      let held = transaction.entries.filter { $0.account.name.hasPrefix("holds/") }
      sums[transaction.time / Self.hour, default: 0] -= held.reduce(0) { $0 + $1.amount.count }
    }
    return sums
  }

  private func checkLedger(_ simulation: AccountSimulation, _ seed: UInt64) {
    let log = simulation.store.log
    #expect(simulation.book.verify(against: log) == [], "seed \(seed)")
    var prepaid: Int64 = 0
    var held: Int64 = 0
    for transaction in log {
      var byKind: [String: Int64] = [:]
      for entry in transaction.entries {
        let kind = String(entry.account.name.split(separator: "/")[0])
        byKind[kind, default: 0] += entry.amount.count
        if entry.account == .organisation("globex") { prepaid += entry.amount.count }
        if entry.account == .holds(of: "globex") { held += entry.amount.count }
      }
      #expect(byKind.values.reduce(0, +) == 0, "seed \(seed)")
      if transaction.kind == .settle {
        let bill = -byKind["holds", default: 0]
        #expect(bill >= 0, "seed \(seed)")
        #expect(
          bill == byKind["host", default: 0] + byKind["margin", default: 0], "seed \(seed)")
        #expect(byKind["host", default: 0] >= 0, "seed \(seed)")
      }
      #expect(prepaid >= 0 && held >= 0, "seed \(seed): \(transaction.id)")
    }
  }

  private func checkRestart(_ simulation: AccountSimulation, _ seed: UInt64) throws {
    let (again, _) = try simulation.store.book(at: simulation.time)
    #expect(again.totalLeased == simulation.book.totalLeased, "seed \(seed)")
    #expect(again.transactionCount == simulation.book.transactionCount, "seed \(seed)")
    for organisation in simulation.book.organisations {
      #expect(again.organisation(organisation.id) == organisation, "seed \(seed)")
      for account in [
        AccountID.organisation(organisation.id), .holds(of: organisation.id), .margin,
      ] {
        #expect(
          again.balance(of: account) == simulation.book.balance(of: account), "seed \(seed)")
      }
      for budget in organisation.budgets {
        let owner = BudgetOwner.organisation(organisation.id)
        #expect(
          again.spent(budget.terms.window, of: owner, at: simulation.time.wall)
            == simulation.book.spent(budget.terms.window, of: owner, at: simulation.time.wall),
          "seed \(seed)")
      }
    }
  }

  @Test("no budget is overspent, with prices that change, lost messages and restarts")
  func budgets() throws {
    var charged: Int64 = 0
    for seed in UInt64(0)..<60 {
      var simulation = try AccountSimulation(seed: seed, options: .init())
      for _ in 0..<10 {
        try simulation.run(steps: 150)
        checkLedger(simulation, seed)
        try checkRestart(simulation, seed)
      }
      let log = simulation.store.log
      let limits: [(Int64, (String) -> Bool)] = [
        (4_000, { $0.contains("\"account\":\"acme") }),
        (2_500, { $0.contains("\"account\":\"acme/research\"") }),
        (1_500, { $0.contains("\"key\":\"key/k1\"") }),
      ]
      for (amount, isCounted) in limits {
        for (_, sum) in charges(log, where: isCounted) {
          #expect(sum <= amount, "seed \(seed)")
          charged += sum
        }
      }
      let spent = simulation.book.spent(
        BudgetWindow(.rolling, .hour), of: .organisation("acme"), at: simulation.time.wall)
      #expect(try #require(spent).count <= 6_000, "seed \(seed)")
    }
    #expect(charged > 100_000, "the simulation bills almost nothing")
  }

  @Test("every hold ends, also those of killed gateways, and late bills charge margin alone")
  func holdsEnd() throws {
    for seed in UInt64(100)..<140 {
      var simulation = try AccountSimulation(
        seed: seed, options: .init(changesBudgets: true, wallJumps: true))
      try simulation.run(steps: 1_200)
      checkLedger(simulation, seed)
      try simulation.end()
      checkLedger(simulation, seed)
      #expect(simulation.book.totalLeased == .zero, "seed \(seed)")
      for organisation in AccountSimulation.organisations {
        #expect(simulation.book.balance(of: .holds(of: organisation)) == .zero, "seed \(seed)")
      }
      try checkRestart(simulation, seed)
    }
  }
}
