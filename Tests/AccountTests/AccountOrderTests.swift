import ClusterModel
import Money
import RegistryCore
import Testing

@Suite("Orders of admins in the book of accounts")
struct AccountOrderTests: AccountBookSuite {
  @Test("a repeated transfer moves nothing; another one with its id is refused")
  func transfers() throws {
    var world = try world(isPrepaid: true)
    func transfer(_ kind: AdminTransfer.Kind, id: String = "1") throws -> Int {
      world.write(
        try world.book.transfer(AdminTransfer(id: id, kind: kind), at: world.time)
      ).count
    }
    let credit = AdminTransfer.Kind.credit(MicroCredits(10), organisation: "acme")
    #expect(try transfer(credit) > 0)
    #expect(try transfer(credit) == 0)
    #expect(world.book.balance(of: .organisation("acme")) == MicroCredits(10))
    let refused: [(AdminTransfer.Kind, AccountRefusal)] = [
      (.debit(MicroCredits(10), organisation: "acme"), .repeatedID("1")),
      (.credit(.zero, organisation: "acme"), .invalidAmount),
      (.credit(MicroCredits(-5), organisation: "acme"), .invalidAmount),
      (.credit(MicroCredits(5), organisation: "nowhere"), .unknownOrganisation("nowhere")),
      (.correction([]), .invalidAmount),
      (
        .correction([LedgerEntry(account: .margin, amount: MicroCredits(1))]), .invalidAmount
      ),
      (
        .correction([LedgerEntry(account: .holds(of: "acme"), amount: .zero)]),
        .invalidAccount(.holds(of: "acme"))
      ),
    ]
    for (kind, refusal) in refused {
      #expect(throws: refusal) { try transfer(kind) }
    }
    #expect(
      throws: AccountRefusal.insufficient(.organisation("acme"), balance: MicroCredits(10))
    ) {
      try transfer(.debit(MicroCredits(11), organisation: "acme"), id: "2")
    }
    #expect(throws: AccountRefusal.insufficient(.host(Self.host), balance: .zero)) {
      try transfer(.payout(MicroCredits(1), host: Self.host), id: "3")
    }
    #expect(throws: AccountRefusal.balanceTooLarge) {
      try transfer(.credit(MicroCredits(.max), organisation: "acme"), id: "4")
    }
  }

  @Test("the note of a transfer has its admin and the remark, whatever the remark is")
  func author() throws {
    var world = try world(isPrepaid: true)
    let remarks = ["", "invoice 17", "a \"b\"\n\u{0}\u{e9}", #"{"author":"x","note":"y"}"#]
    for (number, remark) in remarks.enumerated() {
      world.write(
        try world.book.transfer(
          AdminTransfer(
            id: "\(number)", kind: .credit(MicroCredits(10), organisation: "acme"),
            author: "key tutti-abcdefgh2345", note: remark), at: world.time))
      let note = TransferNote(of: try #require(world.store.log.last))
      #expect(note.author == "key tutti-abcdefgh2345" && note.remark == remark)
    }
    // A restarted registry reads these notes.
    try world.restart()
    #expect(world.book.balance(of: .organisation("acme")) == MicroCredits(40))
  }

  @Test("notes of earlier versions and of requests have no author and stay as they are")
  func noAuthor() throws {
    for (kind, text) in [
      (LedgerTransaction.Kind.credit, "invoice 17"), (.payout, "{"), (.correction, #"{"a":1}"#),
      (.credit, #"{"author":"x","note":"y","invoice":"17"}"#),
      (.credit, #"{"note":"y","author":"x"}"#),
      (.settle, #"{"author":"x","note":"y"}"#),
    ] {
      let note = TransferNote(
        of: try LedgerTransaction(id: "1", kind: kind, time: 1, entries: [], note: text))
      #expect(note.author == nil && note.remark == text, "\(kind)")
    }
  }

  @Test("a note that is too long with its author is refused and moves nothing")
  func longNote() throws {
    var world = try world(isPrepaid: true)
    func transfer(_ author: String?) throws {
      _ = try world.book.transfer(
        AdminTransfer(
          id: "1", kind: .credit(MicroCredits(10), organisation: "acme"), author: author,
          // The remark alone has the maximum length of a note. With the author the note is too long.
          note: String(repeating: "a", count: 16_384)), at: world.time)
    }
    #expect(throws: AccountRefusal.tooLong) { try transfer("admin-token") }
    #expect(world.book.balance(of: .organisation("acme")) == .zero)
  }

  @Test("names, budgets and prices that make no sense are refused")
  func refusedChanges() throws {
    let world = try world()
    let month = try BudgetTerms(amount: .zero, window: BudgetWindow(.calendar, .month))
    let refused: [(AccountChange, AccountRefusal)] = [
      (.setOrganisation(id: "A", name: "A", isPrepaid: false, budgets: []), .invalidAccountID("A")),
      (.setOrganisation(id: "a", name: "\n", isPrepaid: false, budgets: []), .invalidName("\n")),
      (
        .setOrganisation(id: "a", name: "a", isPrepaid: false, budgets: [month, month]),
        .repeatedWindow(month.window)
      ),
      (
        .setTeam(try account("nowhere/team"), name: "t", budgets: []),
        .unknownOrganisation("nowhere")
      ),
      (.setTeam(try account("acme"), name: "t", budgets: []), .invalidAccountID("acme")),
      (
        .setOrganisation(id: "..", name: "A", isPrepaid: false, budgets: []),
        .invalidAccountID("..")
      ),
      (
        .addPrice(
          PriceRow(model: Self.model, effectiveFrom: world.wall - 1, price: .free)),
        .price(.inThePast(now: world.wall))
      ),
    ]
    for (change, refusal) in refused {
      #expect(throws: refusal) { try world.book.record(for: change, at: world.wall) }
    }
  }

  @Test("a refusal names the characters of an account's id only for such an id")
  func refusedNames() {
    #expect("\(AccountRefusal.invalidAccountID("A"))".contains("a–z"))
    #expect(!"\(AccountRefusal.invalidName("\n"))".contains("a–z"))
  }
}
