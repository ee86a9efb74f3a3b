import Testing

@testable import Money

@Suite("Paths of budgets")
struct BudgetPathTests {
  private static let day: Int64 = 86_400_000

  private static func level(
    _ ceiling: BudgetCeiling, _ amount: Int64, _ period: BudgetPeriod = .day,
    warnings: [Int] = []
  ) throws -> BudgetPath.Level {
    BudgetPath.Level(
      ceiling,
      SpendingBudget(
        try BudgetTerms(
          amount: MicroCredits(amount), window: BudgetWindow(.calendar, period),
          warnings: warnings)))
  }

  private static func path(balance: Int64? = nil) throws -> BudgetPath {
    BudgetPath(
      levels: [
        try level(.organisation("acme"), 1_000, .month), try level(.team("search"), 100),
        try level(.key("k1"), 300, .hour),
      ],
      balance: balance.map {
        BudgetPath.Balance(organisation: "acme", amount: MicroCredits($0))
      })
  }

  @Test("the lowest ceiling binds, and the refusal names it, its amount and its reset")
  func lowest() throws {
    var path = try Self.path(balance: 5_000)
    #expect(path.remaining(at: 0) == MicroCredits(100))
    #expect(try path.reserve(MicroCredits(100), at: 0) == .granted)
    let refusal = CeilingRefusal(
      ceiling: .team("search"), window: BudgetWindow(.calendar, .day), amount: MicroCredits(100),
      remaining: .zero, needed: MicroCredits(1), resets: Self.day)
    let before = path
    #expect(try path.reserve(MicroCredits(1), at: 0) == .refused(refusal))
    #expect(path == before)
    #expect(
      refusal.description
        == "budget of team search, 0.0001 credits per day: 0 credits are left and 0.000001 are "
        + "needed; it resets at 1970-01-02T00:00:00Z")
  }

  @Test("a prepaid balance binds without a reset")
  func balance() throws {
    var path = try Self.path(balance: 40)
    #expect(path.remaining(at: 0) == MicroCredits(40))
    guard case .refused(let refusal) = try path.reserve(MicroCredits(41), at: 0) else {
      Issue.record("granted")
      return
    }
    #expect(refusal.ceiling == .balance(organisation: "acme"))
    #expect(refusal.resets == nil && refusal.window == nil && refusal.amount == MicroCredits(40))
    #expect(try path.reserve(MicroCredits(40), at: 0) == .granted)
    #expect(path.balance?.amount == .zero)
    try path.release(MicroCredits(15))
    #expect(path.balance?.amount == MicroCredits(15))
    #expect(path.levels.map(\.budget.reserved) == Array(repeating: MicroCredits(25), count: 3))
  }

  @Test("of two equally low ceilings the one that resets later is named")
  func ties() throws {
    let path = BudgetPath(levels: [
      try Self.level(.organisation("acme"), 10, .hour), try Self.level(.team("search"), 10, .month),
      try Self.level(.key("k1"), 10),
    ])
    #expect(path.refusal(of: MicroCredits(11), at: 0)?.ceiling == .team("search"))
  }

  @Test("a path without ceilings grants everything, and a full one still grants free requests")
  func limits() throws {
    var open = BudgetPath(levels: [])
    #expect(open.remaining(at: 0) == nil)
    #expect(try open.reserve(MicroCredits(.max), at: 0) == .granted)
    var full = BudgetPath(levels: [try Self.level(.key("k1"), 0)])
    #expect(try full.reserve(.zero, at: 0) == .granted)
    #expect(throws: MoneyError.negative) { try full.reserve(MicroCredits(-1), at: 0) }
  }

  @Test("a settlement spends at every level and returns what it did not use")
  func settlement() throws {
    var path = BudgetPath(
      levels: [
        try Self.level(.organisation("acme"), 100, warnings: [500]),
        try Self.level(.key("k1"), 40, warnings: [500, 750]),
      ], balance: BudgetPath.Balance(organisation: "acme", amount: MicroCredits(60)))
    #expect(try path.reserve(MicroCredits(35), at: 0) == .granted)
    #expect(
      try path.settle(reserved: MicroCredits(35), spent: MicroCredits(30), at: 1) == [
        BudgetPath.Warning(ceiling: .key("k1"), threshold: 500),
        BudgetPath.Warning(ceiling: .key("k1"), threshold: 750),
      ])
    #expect(path.balance?.amount == MicroCredits(30))
    #expect(path.levels.map { $0.budget.spent(at: 1) } == [MicroCredits(30), MicroCredits(30)])
    #expect(path.levels.map(\.budget.reserved) == [.zero, .zero])
    #expect(path.remaining(at: 1) == MicroCredits(10))
  }

  @Test("random reservations never exceed any ceiling, and are refused only if they do not fit")
  func property() throws {
    for seed in UInt64(0)..<200 {
      var rng = SplitMixSource(seed: seed)
      var path = try Self.path(balance: rng.number(0...500))
      var spent: Int64 = 0
      var holds: [Int64] = []
      let budget = [1_000, 100, 300, path.balance?.amount.count ?? 0].min() ?? 0
      for _ in 0..<100 {
        if rng.chance(oneIn: 2), let hold = holds.popLast() {
          let used = rng.number(0...hold)
          _ = try path.settle(reserved: MicroCredits(hold), spent: MicroCredits(used), at: 0)
          spent += used
          continue
        }
        let needed = rng.number(Int64(0)...40)
        let fits = spent + holds.reduce(0, +) + needed <= budget
        let decision = try path.reserve(MicroCredits(needed), at: 0)
        #expect((decision == .granted) == fits, "seed \(seed)")
        if fits { holds.append(needed) }
      }
    }
  }
}
