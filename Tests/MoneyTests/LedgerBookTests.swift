import ClusterModel
import Foundation
import Testing

@testable import Money

@Suite("Ledger book")
struct LedgerBookTests {
  private static func transaction(
    _ id: String, _ kind: LedgerTransaction.Kind = .hold, from: AccountID, to: AccountID,
    _ amount: Int64, time: Int64 = 0
  ) throws -> LedgerTransaction {
    try LedgerTransaction(
      id: id, kind: kind, time: time,
      entries: [
        LedgerEntry(account: from, amount: MicroCredits(amount).negated()),
        LedgerEntry(account: to, amount: MicroCredits(amount)),
      ])
  }

  private static func credit(_ id: String, _ amount: Int64, time: Int64 = 0) throws
    -> LedgerTransaction
  {
    try transaction(id, .credit, from: .issued, to: .organisation("acme"), amount, time: time)
  }

  private static func hold(_ id: String, _ amount: Int64) throws -> LedgerTransaction {
    try transaction(id, from: .organisation("acme"), to: .holds(of: "acme"), amount)
  }

  private static func prepaidBook(balance: Int64) throws -> LedgerBook {
    try LedgerBook(replaying: [credit("c", balance)], prepaid: ["acme"])
  }

  @Test("the same transaction again changes nothing; other content with its id is a conflict")
  func idempotence() throws {
    var book = try Self.prepaidBook(balance: 100)
    #expect(try book.post(Self.hold("h", 60)) == .posted)
    #expect(try book.post(Self.hold("h", 60)) == .repeated)
    let later = try Self.transaction(
      "h", from: .organisation("acme"), to: .holds(of: "acme"), 60, time: 9)
    #expect(try book.post(later) == .repeated)
    #expect(throws: LedgerRefusal.conflict(id: "h")) { try book.post(Self.hold("h", 30)) }
    #expect(book.balance(of: .organisation("acme")) == MicroCredits(40))
    #expect(book.balance(of: .holds(of: "acme")) == MicroCredits(60))
  }

  @Test("balance and holds of a prepaid organisation never fall below zero")
  func prepaid() throws {
    var book = try Self.prepaidBook(balance: 100)
    let refusal = LedgerRefusal.overdrawn(
      .organisation("acme"), balance: MicroCredits(100), after: MicroCredits(-1))
    #expect(throws: refusal) { try book.post(Self.hold("h", 101)) }
    #expect(book.balance(of: .holds(of: "acme")) == .zero)
    #expect(try book.post(Self.hold("h", 100)) == .posted)
    #expect(throws: LedgerRefusal.self) {
      try book.post(Self.transaction("s", .settle, from: .holds(of: "acme"), to: .margin, 101))
    }
    #expect(
      try book.post(
        Self.transaction("s", .settle, from: .holds(of: "acme"), to: .margin, 100)) == .posted)
    #expect(book.balances.keys.sorted() == [.issued, .margin])
  }

  @Test("an organisation that pays later may fall below zero, and rise again once it is prepaid")
  func postpaid() throws {
    var book = LedgerBook()
    #expect(try book.post(Self.hold("h", 50)) == .posted)
    book.setPrepaid(true, organisation: "acme")
    #expect(try book.post(Self.credit("c1", 20)) == .posted)
    #expect(throws: LedgerRefusal.self) { try book.post(Self.hold("h2", 1)) }
    #expect(
      book.verify(against: [try Self.hold("h", 50), try Self.credit("c1", 20)]) == [
        .overdrawn(.organisation("acme"), balance: MicroCredits(-30))
      ])
  }

  @Test("a transaction that overflows a balance leaves the book as it was")
  func overflow() throws {
    var book = LedgerBook()
    #expect(try book.post(Self.credit("c1", .max)) == .posted)
    #expect(throws: LedgerRefusal.overflow(.issued)) { try book.post(Self.credit("c2", 2)) }
    #expect(try book.verify(against: [Self.credit("c1", .max)]) == [])
  }

  @Test("verification names each account whose balance is not the sum of its entries")
  func verification() throws {
    let log = [try Self.credit("c", 100), try Self.hold("h", 60)]
    let book = try LedgerBook(replaying: log)
    #expect(book.verify(against: log) == [])
    #expect(
      book.verify(against: log.dropLast()) == [
        .balance(.holds(of: "acme"), book: MicroCredits(60), entries: .zero),
        .balance(.organisation("acme"), book: MicroCredits(40), entries: MicroCredits(100)),
      ])
    let larger = try Self.credit("c", .max)
    #expect(
      LedgerBook().verify(against: [larger, larger]) == [
        .balance(.issued, book: .zero, entries: nil),
        .balance(.organisation("acme"), book: .zero, entries: nil),
      ])
  }

  @Test("a log with one id twice cannot be replayed")
  func replayedTwice() throws {
    let log = [try Self.credit("c", 1), try Self.credit("c", 1)]
    #expect(throws: LedgerRefusal.conflict(id: "c")) { try LedgerBook(replaying: log) }
  }

  @Test("ids are forgotten in order, and a time of forgotten ids needs the store's word")
  func memory() throws {
    var book = LedgerBook(remembering: 4)
    for number in 1...6 {
      #expect(try book.post(Self.credit("c\(number)", 1, time: Int64(number))) == .posted)
    }
    // The book remembers two generations of 2 ids, so c1 and c2 are forgotten.
    #expect(throws: LedgerRefusal.forgotten(id: "c1")) {
      try book.post(Self.credit("c1", 1, time: 1))
    }
    #expect(throws: LedgerRefusal.forgotten(id: "late")) {
      try book.post(Self.credit("late", 1, time: 2))
    }
    #expect(try book.post(Self.credit("c3", 1, time: 3)) == .repeated)
    #expect(try book.post(Self.credit("late", 1, time: 2), isAbsentFromStore: true) == .posted)
    #expect(book.balance(of: .organisation("acme")) == MicroCredits(7))
  }

  @Test("random transactions, repeated and reordered, give the balances of the log")
  func property() throws {
    for seed in UInt64(0)..<200 {
      var rng = SplitMixSource(seed: seed)
      let accounts: [AccountID] = [
        .organisation("acme"), .holds(of: "acme"), .organisation("zeta"), .margin, .host("gpu"),
      ]
      var book = LedgerBook()
      book.setPrepaid(true, organisation: "acme")
      var log: [LedgerTransaction] = []
      for number in 0..<60 {
        if let old = log.randomElement(using: &rng), rng.chance(oneIn: 3) {
          #expect(try book.post(old) == .repeated, "seed \(seed)")
          continue
        }
        let transaction = try Self.transaction(
          "t\(number)", from: accounts.randomElement(using: &rng) ?? .margin,
          to: accounts.randomElement(using: &rng) ?? .margin, rng.number(0...50))
        do {
          _ = try book.post(transaction)
          log.append(transaction)
        } catch {
          #expect(throws: error) { try book.check(transaction) }
        }
      }
      #expect(book.verify(against: log) == [], "seed \(seed)")
      #expect(
        try LedgerBook(replaying: log.shuffled(using: &rng)).balances == book.balances,
        "seed \(seed)")
    }
  }

  @Test("a stored transaction whose entries do not sum to zero is an error")
  func decoding() throws {
    let original = try Self.hold("h", 60)
    let data = try JSONEncoder().encode(original)
    #expect(try JSONDecoder().decode(LedgerTransaction.self, from: data) == original)
    let text = String(decoding: data, as: UTF8.self).replacing("-60", with: "-59")
    #expect(throws: MoneyError.unbalanced) {
      try JSONDecoder().decode(LedgerTransaction.self, from: Data(text.utf8))
    }
  }

  @Test("ids, notes and entries have limits")
  func sizes() {
    for (id, count, note) in [
      ("", 0, ""), (String(repeating: "x", count: 513), 0, ""), ("x", 1_025, ""),
      ("x", 0, String(repeating: "x", count: 16_385)),
    ] {
      #expect(throws: MoneyError.oversized) {
        try LedgerTransaction(
          id: id, kind: .correction, time: 0,
          entries: Array(repeating: LedgerEntry(account: .margin, amount: .zero), count: count),
          note: note)
      }
    }
  }

  @Test("an account's purpose is read from its name")
  func kinds() {
    for (account, kind) in [
      (.issued, .issued), (.margin, .margin), (.paid, .paid),
      (.organisation("a/b"), .organisation("a/b")), (.holds(of: "acme"), .holds("acme")),
      (.host("gpu-1"), .host("gpu-1")), (AccountID("org/"), nil), (AccountID("other"), nil),
    ] as [(AccountID, AccountID.Kind?)] {
      #expect(account.kind == kind)
    }
  }
}
