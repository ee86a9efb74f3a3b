import Foundation
import Money
import Testing

@Suite("Budgets")
struct SpendingBudgetTests {
  private static let hour: Int64 = 3_600_000
  private static let day = 24 * hour

  private static func budget(
    _ amount: Int64, _ kind: BudgetWindow.Kind = .calendar, _ period: BudgetPeriod = .day,
    warnings: [Int] = []
  ) throws -> SpendingBudget {
    SpendingBudget(
      try BudgetTerms(
        amount: MicroCredits(amount), window: BudgetWindow(kind, period), warnings: warnings))
  }

  @Test("a calendar budget starts anew at the end of its period")
  func calendar() throws {
    var budget = try Self.budget(100)
    #expect(try budget.spend(MicroCredits(60), at: Self.hour) == [])
    #expect(budget.remaining(at: 2 * Self.hour) == MicroCredits(40))
    #expect(budget.resets(at: 2 * Self.hour) == Self.day)
    #expect(budget.remaining(at: Self.day - 1) == MicroCredits(40))
    #expect(budget.remaining(at: Self.day) == MicroCredits(100))
    #expect(budget.resets(at: Self.day) == 2 * Self.day)
  }

  @Test("spending of a rolling budget expires a period and at most one bucket later")
  func rolling() throws {
    var budget = try Self.budget(100, .rolling, .hour)
    #expect(budget.resets(at: 0) == nil)
    _ = try budget.spend(MicroCredits(60), at: 90_000)
    _ = try budget.spend(MicroCredits(40), at: 20 * 60_000)
    let first = Self.hour + 120_000
    #expect(budget.remaining(at: first - 1) == .zero)
    #expect(budget.remaining(at: first) == MicroCredits(60))
    #expect(budget.resets(at: 30 * 60_000) == first)
    let second = Self.hour + 21 * 60_000
    #expect(budget.remaining(at: second) == MicroCredits(100))
    // More than the amount is spent, so nothing remains even after the first spending expires.
    _ = try budget.spend(MicroCredits(60), at: 30 * 60_000)
    #expect(budget.remaining(at: first) == .zero)
    #expect(budget.resets(at: 30 * 60_000) == second)
  }

  @Test("no rolling period of any start contains more spending than the amount")
  func rollingProperty() throws {
    for seed in UInt64(0)..<100 {
      var rng = SplitMixSource(seed: seed)
      var budget = try Self.budget(100, .rolling, .hour)
      var spending: [(time: Int64, amount: Int64)] = []
      var now: Int64 = 0
      for _ in 0..<300 {
        now += rng.number(0...200_000)
        let amount = min(rng.number(0...30), budget.remaining(at: now).count)
        _ = try budget.spend(MicroCredits(amount), at: now)
        spending.append((now, amount))
      }
      for start in spending {
        let sum = spending.reduce(0) { sum, other in
          (start.time..<(start.time + Self.hour)).contains(other.time) ? sum + other.amount : sum
        }
        #expect(sum <= 100, "seed \(seed)")
      }
    }
  }

  @Test("each threshold is reported once per period, several of them by one large spending")
  func warnings() throws {
    var budget = try Self.budget(1_000, warnings: [1_000, 500, 800, 800])
    #expect(try budget.spend(MicroCredits(499), at: 0) == [])
    #expect(try budget.spend(MicroCredits(1), at: 1) == [500])
    #expect(try budget.spend(MicroCredits(100), at: 2) == [])
    #expect(try budget.spend(MicroCredits(500), at: 3) == [800, 1_000])
    #expect(try budget.spend(MicroCredits(500), at: 4) == [])
    #expect(try budget.spend(MicroCredits(600), at: Self.day) == [500])
    #expect(try budget.spend(.zero, at: Self.day) == [])
  }

  @Test("a rolling budget that stays around a threshold reports it once per period")
  func rollingWarnings() throws {
    var budget = try Self.budget(1_000, .rolling, .hour, warnings: [500])
    var times: [Int64] = []
    // From minute 60, each spending raises the hour's sum from 480 to 720. Then the oldest third
    // expires.
    for minute in stride(from: Int64(0), to: 360, by: 30) {
      let crossed = try budget.spend(MicroCredits(240), at: minute * 60_000)
      if crossed == [500] { times.append(minute) }
    }
    #expect(times == [60, 120, 180, 240, 300])
  }

  @Test("new terms apply at once; thresholds that are no longer reached warn again")
  func newTerms() throws {
    var budget = try Self.budget(100, warnings: [500])
    #expect(try budget.spend(MicroCredits(80), at: 0) == [500])
    budget.setTerms(
      try BudgetTerms(
        amount: MicroCredits(50), window: BudgetWindow(.calendar, .day), warnings: [500]), at: 1)
    #expect(budget.remaining(at: 1) == .zero)
    #expect(try budget.spend(MicroCredits(1), at: 1) == [])
    budget.setTerms(
      try BudgetTerms(
        amount: MicroCredits(200), window: BudgetWindow(.rolling, .hour), warnings: [500]), at: 2)
    #expect(budget.remaining(at: 2) == MicroCredits(119))
    #expect(try budget.spend(MicroCredits(19), at: 2) == [500])
    #expect(budget.remaining(at: 3 * Self.hour) == MicroCredits(200))
  }

  @Test("a clock that is set back does not return spent credits")
  func backwards() throws {
    var budget = try Self.budget(100)
    _ = try budget.spend(MicroCredits(60), at: 3 * Self.day)
    _ = try budget.spend(MicroCredits(30), at: 0)
    #expect(budget.remaining(at: 0) == MicroCredits(10))
    #expect(budget.remaining(at: .min) == MicroCredits(10))
    #expect(budget.resets(at: 0) == 4 * Self.day)
  }

  @Test("after a correction of the clock, all spending counts once and until the period's end")
  func setBack() throws {
    for kind in BudgetWindow.Kind.allCases {
      var budget = try Self.budget(100, kind, .day)
      _ = try budget.spend(MicroCredits(60), at: 4_000 * Self.day)
      budget.setBack(to: 3 * Self.day)
      #expect(budget.remaining(at: 3 * Self.day) == MicroCredits(40))
      _ = try budget.spend(MicroCredits(30), at: 3 * Self.day + 1)
      #expect(budget.remaining(at: 3 * Self.day + 1) == MicroCredits(10))
      let reset = try #require(budget.resets(at: 3 * Self.day + 1))
      #expect(reset <= 5 * Self.day)
      #expect(budget.remaining(at: 5 * Self.day) == MicroCredits(100))
      // A later time corrects nothing.
      let before = budget
      budget.setBack(to: 9 * Self.day)
      budget.setBack(to: .max)
      #expect(budget == before)
      budget.setBack(to: .min)
      #expect(budget.spent(at: .min) == MicroCredits(90))
    }
  }

  @Test("a warning is repeated in the next period after a correction of the clock")
  func warningsAfterSetBack() throws {
    var budget = SpendingBudget(
      try BudgetTerms(
        amount: MicroCredits(100), window: BudgetWindow(.calendar, .day), warnings: [500]))
    #expect(try budget.spend(MicroCredits(60), at: 4_000 * Self.day) == [500])
    budget.setBack(to: 3 * Self.day)
    #expect(try budget.spend(MicroCredits(10), at: 3 * Self.day) == [])
    #expect(try budget.spend(MicroCredits(60), at: 4 * Self.day) == [500])
  }

  @Test("jumps to any time neither trap nor lift the amount", arguments: BudgetWindow.Kind.allCases)
  func jumps(kind: BudgetWindow.Kind) throws {
    for period in BudgetPeriod.allCases {
      var budget = try Self.budget(100, kind, period)
      for time in [Int64.min, -1, 0, 1_000_000_000_000, 253_402_300_799_999, .max, 0, .max] {
        _ = try budget.spend(budget.remaining(at: time), at: time)
        #expect(budget.remaining(at: time) == .zero)
        #expect(budget.spent(at: time) == MicroCredits(100))
        #expect(budget.resets(at: time) ?? 0 > 0)
      }
    }
  }

  @Test("sums that do not fit leave the budget as it was")
  func overflow() throws {
    var budget = try Self.budget(.max)
    _ = try budget.spend(MicroCredits(.max), at: 0)
    let before = budget
    #expect(throws: MoneyError.overflow) { try budget.spend(MicroCredits(1), at: 0) }
    #expect(throws: MoneyError.negative) { try budget.spend(MicroCredits(-1), at: 0) }
    #expect(budget == before)
  }

  @Test("terms out of range are errors, also if they are decoded")
  func terms() throws {
    let window = BudgetWindow(.calendar, .day)
    #expect(throws: MoneyError.negative) {
      try BudgetTerms(amount: MicroCredits(-1), window: window)
    }
    for warnings in [[0], [1_001], Array(1...17)] {
      #expect(throws: MoneyError.invalidWarnings) {
        try BudgetTerms(amount: .zero, window: window, warnings: warnings)
      }
    }
    let text = #"{"amount":5,"window":{"period":"month","kind":"rolling"},"warnings":[0]}"#
    #expect(throws: MoneyError.invalidWarnings) {
      try JSONDecoder().decode(BudgetTerms.self, from: Data(text.utf8))
    }
  }
}

extension SpendingBudget {
  /// Money that can still be spent, at least 0.
  fileprivate func remaining(at time: Int64) -> MicroCredits {
    MicroCredits(max(0, terms.amount.count - spent(at: time).count))
  }
}
