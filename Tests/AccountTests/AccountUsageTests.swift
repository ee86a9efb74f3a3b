import Access
import ClusterModel
import Money
import RegistryCore
import Testing

@Suite("Spending of a key in the registry's book")
struct AccountUsageTests {
  private static let gateway = PeerID(name: "gateway-1", incarnation: 1)
  private static let day: Int64 = 86_400_000
  private let lease = LeaseID(gateway: gateway, number: 1)
  private let key = AccountID.key("k1")
  private let wall: Int64 = 1_790_000_000_000

  private func time(_ days: Int64 = 0) -> AccountTime {
    AccountTime(wall: wall + days * Self.day, instant: .zero)
  }

  private func budget(
    _ amount: Int64, _ period: BudgetPeriod, warnings: [Int] = []
  ) throws -> BudgetTerms {
    try BudgetTerms(
      amount: MicroCredits(amount), window: BudgetWindow(.calendar, period), warnings: warnings)
  }

  /// Organisation `acme`, team `acme/lab` and key `k1`, each with a budget, and key `k2` of `acme`.
  private func store(isPrepaid: Bool = false) throws -> SimulatedStore {
    var store = SimulatedStore()
    var (book, _) = try store.book(at: time())
    let team = try #require(AccountPath("acme/lab"))
    let changes: [AccountChange] = [
      .setOrganisation(
        id: "acme", name: "Acme", isPrepaid: isPrepaid,
        budgets: [try budget(1_000, .month, warnings: [100, 900])]),
      .setTeam(team, name: "Lab", budgets: [try budget(500, .day, warnings: [100])]),
      .setKeyBudgets(key: "k1", budgets: [try budget(0, .year)]),
    ]
    for change in changes {
      let record = try book.record(for: change, at: wall)
      store.save(record)
      _ = book.handle(.record(record), at: time())
    }
    store.keys["k1"] = (team, true)
    store.keys["k2"] = (try #require(AccountPath("acme")), true)
    return store
  }

  private func settlement(
    _ number: UInt64, of key: AccountID, model: ModelID, tokens: Int64
  ) throws -> AccountBook.Event {
    let usage = try TokenUsage(prompt: 7, cached: 2, completion: tokens)
    return .settlement(
      Settlement(
        lease: LeaseSettlement(
          lease: lease, key: key, number: number, request: number, hold: MicroCredits(tokens),
          billed: MicroCredits(tokens)),
        trace: "t", model: model, admittedAt: wall,
        price: try TokenPrice(
          input: .zero, cachedInput: .zero, output: MicroCredits(1_000_000)),
        answers: [SettledAnswer(usage: usage, attempts: [])]), from: Self.gateway)
  }

  private func spend(
    _ number: UInt64, _ tokens: Int64, model: ModelID, at time: AccountTime,
    _ book: inout AccountBook, _ store: inout SimulatedStore
  ) throws {
    let ask = LeaseAsk(
      lease: lease, key: key, number: number, granted: MicroCredits(book.totalLeased.count),
      minimum: .zero, worst: MicroCredits(tokens), want: MicroCredits(tokens))
    for event in [
      .lease(.ask(ask), from: Self.gateway),
      try settlement(number, of: key, model: model, tokens: tokens),
    ] as [AccountBook.Event] {
      for case .append(let transactions) in book.handle(event, at: time) {
        let isNew = store.append(transactions)
        #expect(isNew)
      }
    }
  }

  @Test("settled requests are counted by day and model, also after a restart")
  func rows() throws {
    var store = try store()
    // The key's own budget of zero is removed, because it would refuse every request.
    store.records["k/k1"] = nil
    var (book, _) = try store.book(at: time())
    try spend(1, 30, model: "large", at: time(), &book, &store)
    let today = DailyUsage.day(of: wall)
    let before = book.spending(SpendingQuery(key: key, days: 31), at: wall)
    #expect(
      before.rows == [
        DailyUsage.Row(
          day: today, model: "large", requests: 1,
          usage: try TokenUsage(prompt: 7, cached: 2, completion: 30), cost: MicroCredits(30))
      ])
    (book, _) = try store.book(at: time())
    #expect(book.spending(SpendingQuery(key: key, days: 31), at: wall) == before)
    // A second report of the same request adds nothing.
    _ = book.handle(try settlement(1, of: key, model: "large", tokens: 30), at: time())
    #expect(book.spending(SpendingQuery(key: key, days: 31), at: wall) == before)
    let later = book.spending(SpendingQuery(key: key, days: 2), at: time(2).wall)
    #expect(later.rows.isEmpty)
    #expect(later.firstDay == today + 1)
    #expect(book.spending(SpendingQuery(key: key, days: 3), at: time(2).wall).rows == before.rows)
  }

  @Test("a start from a checkpoint keeps the usage before it")
  func checkpoint() throws {
    var store = try store()
    store.records["k/k1"] = nil
    var (book, _) = try store.book(at: time())
    try spend(1, 30, model: "large", at: time(), &book, &store)
    try spend(2, 40, model: "large", at: time(1), &book, &store)
    let checkpoint = try #require(book.checkpoint)
    try spend(3, 50, model: "small", at: time(2), &book, &store)
    let query = SpendingQuery(key: key, days: 31)
    let before = book.spending(query, at: time(2).wall)
    #expect(before.rows.count == 3)
    var replay = try store.replay(at: time(2))
    let place = Int(checkpoint.position)
    try replay.restore(checkpoint, last: store.log[place - 1])
    for transaction in store.log.dropFirst(place) { try replay.add(transaction) }
    let (after, _) = try replay.finish(keys: store.keys)
    #expect(after.spending(query, at: time(2).wall) == before)
  }

  @Test("a long name of a model is the same before and after a restart")
  func longName() throws {
    var store = try store()
    store.records["k/k1"] = nil
    var (book, _) = try store.book(at: time())
    let model = ModelID(String(repeating: "m", count: 1_000))
    try spend(1, 30, model: model, at: time(), &book, &store)
    let query = SpendingQuery(key: key, days: 1)
    let before = book.spending(query, at: wall)
    #expect(before.rows.count == 1)
    (book, _) = try store.book(at: time())
    #expect(book.spending(query, at: wall) == before)
  }

  @Test("a report has the budgets from organisation to key, with what is left and the reset")
  func budgets() throws {
    var store = try store()
    store.records["k/k1"] = nil
    var (book, _) = try store.book(at: time())
    try spend(1, 30, model: "large", at: time(), &book, &store)
    let report = book.spending(SpendingQuery(key: key, days: 1), at: wall)
    #expect(report.budgets.map(\.owner) == [.organisation, .team])
    #expect(report.budgets.map(\.id) == ["acme", "acme/lab"])
    #expect(report.budgets.map(\.spent) == [MicroCredits(30), MicroCredits(30)])
    #expect(report.budgets.map(\.remaining) == [MicroCredits(970), MicroCredits(470)])
    #expect(report.budgets.last?.resetsAt.map { $0 > wall && $0 <= wall + Self.day } == true)
    #expect(report.balance == nil)
    let other = book.spending(SpendingQuery(key: .key("k2"), days: 1), at: wall)
    #expect(other.budgets.map(\.owner) == [.organisation])
    #expect(other.rows.isEmpty)
    let unknown = book.spending(SpendingQuery(key: .key("unknown"), days: .max), at: wall)
    #expect(unknown.budgets.isEmpty && unknown.rows.isEmpty && unknown.balance == nil)
  }

  @Test("the balance of a prepaid organisation is reported, without the credits in leases")
  func balance() throws {
    var store = try store(isPrepaid: true)
    store.records["k/k1"] = nil
    var (book, _) = try store.book(at: time())
    for case .append(let transactions) in try book.transfer(
      AdminTransfer(id: "1", kind: .credit(MicroCredits(100), organisation: "acme")), at: time())
    {
      _ = store.append(transactions)
    }
    let ask = LeaseAsk(
      lease: lease, key: key, number: 1, minimum: .zero, worst: MicroCredits(40),
      want: MicroCredits(40))
    _ = book.handle(.lease(.ask(ask), from: Self.gateway), at: time())
    #expect(
      book.spending(SpendingQuery(key: key, days: 1), at: wall).balance
        == SpendingReport.Balance(
          organisation: "acme", available: MicroCredits(60), held: MicroCredits(40)))
  }

  @Test("the summary lists the budgets with the largest spent part, and counts reached thresholds")
  func summary() throws {
    var store = try store()
    var (book, _) = try store.book(at: time())
    // The key's own budget of zero counts as spent.
    #expect(book.budgetSummary(at: wall).largest.first?.ceiling.name == "key/k1/year-calendar")
    #expect(book.budgetSummary(at: wall).largest.first?.ratio == 1)
    store.records["k/k1"] = nil
    (book, _) = try store.book(at: time())
    try spend(1, 60, model: "large", at: time(), &book, &store)
    let summary = book.budgetSummary(at: wall)
    #expect(
      summary.largest.map(\.ceiling.name) == [
        "team/acme/lab/day-calendar", "org/acme/month-calendar",
      ])
    #expect(summary.largest.map(\.ratio) == [0.12, 0.06])
    #expect(summary.thresholds.map(\.perMille) == [100, 900])
    #expect(summary.thresholds.map(\.reached) == [1, 0])
  }

  @Test("the number of listed budgets and thresholds is limited")
  func summaryLimit() throws {
    var store = SimulatedStore()
    var (book, _) = try store.book(at: time())
    for number in 1...40 {
      let change = AccountChange.setOrganisation(
        id: "o\(number)", name: "O", isPrepaid: false,
        budgets: [try budget(1_000, .day, warnings: [number, 1_000])])
      let record = try book.record(for: change, at: wall)
      store.save(record)
      _ = book.handle(.record(record), at: time())
    }
    let summary = book.budgetSummary(at: wall)
    #expect(summary.largest.count == 20)
    #expect(summary.thresholds.map(\.perMille) == Array(1...20) + [nil])
  }
}
