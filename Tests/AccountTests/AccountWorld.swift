import Access
import ClusterModel
import Money
import RegistryCore
import Testing

/// An account book and its store, in which every write succeeds.
struct AccountWorld {
  var store = SimulatedStore()
  var book: AccountBook
  var wall: Int64 = 1_790_000_000_000
  var instant = Instant.zero

  init() throws {
    (book, _) = try store.book(at: AccountTime(wall: wall, instant: .zero))
  }

  var time: AccountTime { AccountTime(wall: wall, instant: instant) }

  @discardableResult
  mutating func change(_ change: AccountChange) throws -> [AccountBook.Directive] {
    let record = try book.record(for: change, at: wall)
    store.save(record)
    return handle(.record(record))
  }

  @discardableResult
  mutating func handle(_ event: AccountBook.Event) -> [AccountBook.Directive] {
    if case .key(let id, let account, let isActive) = event {
      store.keys[id] = (account, isActive)
    }
    return write(book.handle(event, at: time))
  }

  @discardableResult
  mutating func write(_ directives: [AccountBook.Directive]) -> [AccountBook.Directive] {
    for case .append(let transactions) in directives {
      let isNew = store.append(transactions)
      #expect(isNew)
    }
    return directives
  }

  mutating func restart() throws { (book, _) = try store.book(at: time) }
}

/// Tests with the book of organisation `acme` and its key `k1`.
protocol AccountBookSuite {}

extension AccountBookSuite {
  static var gateway: PeerID {
    PeerID(name: "gateway-1", incarnation: 0xfeed_face_cafe_beef)
  }
  static var model: ModelID { ModelID("large") }
  static var host: HostID { HostID("gpu-1") }
  var lease: LeaseID { LeaseID(gateway: Self.gateway, number: 1) }
  var key: AccountID { AccountID.key("k1") }

  func price(_ input: Int64, _ output: Int64) throws -> TokenPrice {
    try TokenPrice(
      input: MicroCredits(input), cachedInput: MicroCredits(input), output: MicroCredits(output))
  }

  func account(_ text: String) throws -> AccountPath {
    try #require(AccountPath(text))
  }

  /// Organisation `acme` with a monthly budget, and its key `k1`.
  func world(budget: Int64 = 1_000, isPrepaid: Bool = false) throws -> AccountWorld {
    var world = try AccountWorld()
    let terms = try BudgetTerms(
      amount: MicroCredits(budget), window: BudgetWindow(.calendar, .month), warnings: [500])
    try world.change(
      .setOrganisation(id: "acme", name: "Acme", isPrepaid: isPrepaid, budgets: [terms]))
    world.handle(.key("k1", account: try account("acme"), isActive: true))
    return world
  }

  func ask(
    _ number: UInt64, _ amount: Int64, granted: Int64 = 0
  ) -> AccountBook.Event {
    .lease(
      .ask(
        LeaseAsk(
          lease: lease, key: key, number: number, granted: MicroCredits(granted),
          minimum: MicroCredits(1),
          worst: MicroCredits(amount), want: MicroCredits(amount))), from: Self.gateway)
  }

  func settlement(
    _ number: UInt64 = 1, hold: Int64, billed: Int64, tokens: Int64, at time: Int64
  ) throws -> Settlement {
    let usage = try TokenUsage(prompt: 0, completion: tokens)
    return Settlement(
      lease: LeaseSettlement(
        lease: lease, key: key, number: number, request: number, hold: MicroCredits(hold),
        billed: MicroCredits(billed)),
      trace: "t", model: Self.model, admittedAt: time, price: try price(0, 1_000_000),
      answers: [
        SettledAnswer(
          usage: usage,
          attempts: [
            SettledAttempt(
              host: Self.host, model: Self.model, usage: usage, contributed: tokens,
              role: .winner)
          ])
      ])
  }

  func refusals(_ directives: [AccountBook.Directive]) -> [LeaseRefusal] {
    directives.compactMap {
      if case .send(.refused(_, _, let refusal), to: _) = $0 { refusal } else { nil }
    }
  }
}
