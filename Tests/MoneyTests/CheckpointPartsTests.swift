import ClusterModel
import Testing

@testable import Money

@Suite("Parts of a checkpoint")
struct CheckpointPartsTests {
  private static func credit(_ number: Int) throws -> LedgerTransaction {
    try LedgerTransaction(
      id: "c\(number)", kind: .credit, time: Int64(number),
      entries: [
        LedgerEntry(account: .issued, amount: MicroCredits(-1)),
        LedgerEntry(account: .organisation("acme"), amount: MicroCredits(1)),
      ])
  }

  @Test("a memory of ids survives as bytes, with what it has forgotten")
  func memory() throws {
    var memory = TransactionMemory(limit: 8)
    for number in 1...30 {
      memory.remember(try Self.credit(number))
      let again = try #require(TransactionMemory(bytes: memory.bytes, limit: 8))
      #expect(again == memory)
      for old in 1...number {
        #expect(try again.recall(Self.credit(old)) == memory.recall(Self.credit(old)))
      }
    }
  }

  @Test("cut, longer and altered bytes are no memory")
  func damagedMemory() throws {
    var memory = TransactionMemory(limit: 8)
    for number in 1...6 { memory.remember(try Self.credit(number)) }
    let bytes = memory.bytes
    for count in 0..<bytes.count {
      #expect(TransactionMemory(bytes: Array(bytes.prefix(count)), limit: 8) == nil)
    }
    #expect(TransactionMemory(bytes: bytes + [0], limit: 8) == nil)
    #expect(TransactionMemory(bytes: bytes, limit: 16) == nil)
    // The altered header states another number of ids than the bytes after it contain.
    for byte in 8..<24 {
      var altered = bytes
      altered[byte] ^= 0x80
      #expect(TransactionMemory(bytes: altered, limit: 8) == nil, "byte \(byte)")
    }
  }

  @Test("a repetition with other entries is a conflict in every process")
  func content() throws {
    let other = try LedgerTransaction(
      id: "c1", kind: .credit, time: 1,
      entries: [
        LedgerEntry(account: .issued, amount: MicroCredits(-2)),
        LedgerEntry(account: .organisation("acme"), amount: MicroCredits(2)),
      ])
    var memory = TransactionMemory(limit: 8)
    memory.remember(try Self.credit(1))
    let again = try #require(TransactionMemory(bytes: memory.bytes, limit: 8))
    #expect(try again.recall(Self.credit(1)) == .repeated)
    #expect(again.recall(other) == .conflict)
  }

  @Test("balances that do not sum to zero are refused")
  func balances() throws {
    var book = LedgerBook()
    _ = try book.post(Self.credit(1))
    var again = LedgerBook()
    #expect(throws: CheckpointFault.self) {
      try again.restore(
        balances: [.margin: MicroCredits(1)], rememberedIDs: book.rememberedIDs)
    }
    try again.restore(balances: book.balances, rememberedIDs: book.rememberedIDs)
    #expect(again.balances == book.balances)
    #expect(again.remembers(try Self.credit(1)))
    #expect(try again.post(Self.credit(1)) == .repeated)
  }

  @Test("a budget keeps its spending under a new amount, and warns of new thresholds")
  func budget() throws {
    let window = BudgetWindow(.rolling, .hour)
    var budget = SpendingBudget(
      try BudgetTerms(amount: MicroCredits(100), window: window, warnings: [500]))
    #expect(try budget.spend(MicroCredits(60), at: 1_000) == [500])
    let same = try SpendingBudget(budget.terms, restoring: budget.spending)
    #expect(same == budget)
    var other = try SpendingBudget(
      BudgetTerms(amount: MicroCredits(1_000), window: window, warnings: [500]),
      restoring: budget.spending)
    #expect(other.spent(at: 1_000) == MicroCredits(60))
    #expect(try other.spend(MicroCredits(440), at: 2_000) == [500])
    #expect(throws: CheckpointFault.self) {
      _ = try SpendingBudget(
        BudgetTerms(amount: MicroCredits(1), window: BudgetWindow(.calendar, .day)),
        restoring: budget.spending)
    }
  }

  @Test("a window of numbers is restored only if a sequence leads to it")
  func window() {
    var window = NumberWindow()
    for number in [1, 2, 5, 7] { _ = window.insert(UInt64(number)) }
    #expect(window.through == 2)
    #expect(NumberWindow(through: 2, beyond: window.numbersBeyond) == window)
    #expect(NumberWindow(through: 2, beyond: [3]) == nil)
    #expect(NumberWindow(through: 2, beyond: [2]) == nil)
    #expect(NumberWindow(through: 2, beyond: [5, 5]) == nil)
    #expect(NumberWindow(through: 2, beyond: [.max]) == nil)
  }

  @Test("a settlement that an earlier process accepted is restored, wherever its numbers began")
  func acceptedFarNumber() {
    var window = NumberWindow()
    let isNew = [1, 1_000_000, 1_000_000].map { window.insertAccepted($0) }
    #expect(isNew == [true, true, false])
    #expect(window.canInsert(999_999))
  }

  @Test("leases and gateways survive a snapshot")
  func leases() throws {
    let gateway = PeerID(name: "g", incarnation: 0xFFFF_FFFF_FFFF_FFFF)
    let lease = LeaseID(gateway: gateway, number: 3)
    let key = AccountID.key("k")
    let settlement = LeaseSettlement(
      lease: lease, key: key, number: 2, request: 9, hold: MicroCredits(20),
      billed: MicroCredits(15))
    let postings = [
      LeasePosting(lease: lease, key: key, .hold(MicroCredits(100), ask: 4)),
      LeasePosting(lease: lease, key: key, .release(MicroCredits(10), total: MicroCredits(10))),
      LeasePosting(
        lease: lease, key: key, .settle(settlement, charged: MicroCredits(15), toMargin: .zero)),
    ]
    let issuer = LeaseIssuer(restoring: postings, now: .zero)
    let snapshot = issuer.snapshot
    var again = LeaseIssuer(now: .zero)
    try again.restore(snapshot, now: .zero)
    #expect(again.snapshot == snapshot)
    #expect(again.totalLeased == MicroCredits(75))
    #expect(snapshot.leases.map(\.id) == [lease])
    // A later posting ends the restored lease.
    let end = LeasePosting(lease: lease, key: key, .end(MicroCredits(75)))
    again.restore(end, now: .zero)
    #expect(again.totalLeased == .zero)
    #expect(throws: CheckpointFault.self) { try again.restore(snapshot, now: .zero) }
  }
}
