import Access
import ClusterModel
import Money
import RegistryCore
import Testing

@Suite("Removal of organisations and teams")
struct AccountRemovalTests: AccountBookSuite {
  private static let keys = ["tutti-a", "tutti-b", "tutti-c", "tutti-d"]

  /// The refusal to remove an account. `nil` means that it may be removed.
  private func refused(
    _ world: AccountWorld, _ account: String, keys: [String] = []
  ) throws -> AccountRefusal? {
    let change = AccountChange.removeAccount(try self.account(account), keys: keys)
    do throws(AccountRefusal) {
      _ = try world.book.record(for: change, at: world.wall)
      return nil
    } catch {
      return error
    }
  }

  private func text(_ refusal: AccountRefusal?) -> String { refusal.map { "\($0)" } ?? "" }

  private func isTemporary(_ refusal: AccountRefusal?) -> Bool? {
    if case .inUse(_, let use)? = refusal { use.isTemporary } else { nil }
  }

  private func transfer(
    _ world: inout AccountWorld, id: String, _ kind: AdminTransfer.Kind
  ) throws {
    world.write(try world.book.transfer(AdminTransfer(id: id, kind: kind), at: world.time))
  }

  /// Ends the key and its leases.
  private func endKey(_ world: inout AccountWorld, account text: String) throws {
    world.handle(.key("k1", account: try account(text), isActive: false))
    world.instant = world.instant.advanced(by: .seconds(70))
    world.handle(.tick)
  }

  @Test("an organisation in use stays, and the refusal names every reason and its remedy")
  func inUse() throws {
    var world = try world()
    for team in ["acme/web", "acme/lab"] {
      try world.change(.setTeam(try account(team), name: team, budgets: []))
    }
    world.handle(ask(1, 100))
    world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    let refusal = try refused(world, "acme", keys: Self.keys)
    #expect(isTemporary(refusal) == false)
    for part in [
      "Organisation acme cannot be removed",
      "4 keys are not revoked (tutti-a, tutti-b, tutti-c, …)",
      "2 teams (acme/lab, acme/web)", "gateways hold credits", "-0.00006 credits",
      "`tutti ledger credit acme 0.00006`",
    ] {
      #expect(text(refusal).contains(part), "\(part): \(text(refusal))")
    }
    #expect(world.book.organisation("acme") != nil)
    #expect(
      try text(refused(world, "acme/web", keys: ["tutti-a"]))
        == "Team acme/web cannot be removed: 1 key is not revoked (tutti-a); revoke or move it.")
  }

  @Test("without use it is removed with its budgets, and the ledger keeps its entries")
  func removed() throws {
    var world = try world()
    world.handle(ask(1, 100))
    world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    try endKey(&world, account: "acme")
    #expect(
      try text(refused(world, "acme")).contains("its balance is -0.00006 credits and not 0"))
    try transfer(&world, id: "1", .credit(MicroCredits(60), organisation: "acme"))
    let log = world.store.log
    try world.change(.removeAccount(try account("acme"), keys: []))
    for _ in 0..<2 {
      #expect(world.book.organisation("acme") == nil && world.book.organisations.isEmpty)
      let month = BudgetWindow(.calendar, .month)
      #expect(world.book.spent(month, of: .organisation("acme"), at: world.wall) == nil)
      #expect(world.store.log == log && world.book.verify(against: log) == [])
      #expect(throws: AccountRefusal.unknownOrganisation("acme")) {
        try transfer(&world, id: "2", .credit(MicroCredits(1), organisation: "acme"))
      }
      try world.restart()
    }
  }

  @Test("a prepaid organisation with credits stays until they are taken back")
  func prepaid() throws {
    var world = try world(isPrepaid: true)
    try transfer(&world, id: "1", .credit(MicroCredits(2_500_000), organisation: "acme"))
    let refusal = try refused(world, "acme")
    #expect(text(refusal).contains("its balance is 2.5 credits and not 0"))
    #expect(text(refusal).contains("`tutti ledger debit acme 2.5`"))
    try transfer(&world, id: "2", .debit(MicroCredits(2_500_000), organisation: "acme"))
    try world.change(.removeAccount(try account("acme"), keys: []))
    #expect(world.book.organisation("acme") == nil)
  }

  @Test("open holds alone refuse the removal for the moment, of the organisation and of the team")
  func holds() throws {
    for isMoved in [false, true] {
      var world = try world()
      try world.change(.setTeam(try account("acme/web"), name: "W", budgets: []))
      try world.change(.setTeam(try account("acme/lab"), name: "L", budgets: []))
      world.handle(.key("k1", account: try account("acme/web"), isActive: true))
      world.handle(ask(1, 100))
      // The lease has money that was held for the key's earlier team.
      if isMoved { world.handle(.key("k1", account: try account("acme/lab"), isActive: true)) }
      #expect(try isTemporary(refused(world, "acme/web")) == true)
      #expect(try isTemporary(refused(world, "acme/lab")) == (isMoved ? true : nil))
      try endKey(&world, account: isMoved ? "acme/lab" : "acme/web")
      for team in ["acme/web", "acme/lab"] {
        try world.change(.removeAccount(try account(team), keys: []))
      }
      #expect(world.book.teams().isEmpty)
      #expect(try refused(world, "acme") == nil)
    }
  }

  @Test("an organisation whose only use are holds can be removed when they have ended")
  func organisationHolds() throws {
    var world = try world()
    world.handle(ask(1, 100))
    #expect(try isTemporary(refused(world, "acme")) == true)
    try endKey(&world, account: "acme")
    #expect(try refused(world, "acme") == nil)
  }

  @Test("a replaced key of a removed account, which is still active, gets no money")
  func replacedKey() throws {
    for text in ["acme", "acme/web"] {
      var world = try world()
      let account = try account(text)
      if account.team != nil { try world.change(.setTeam(account, name: "W", budgets: [])) }
      world.handle(.key("k1", account: account, isActive: true))
      try world.change(.removeAccount(account, keys: []))
      #expect(refusals(world.handle(ask(1, 10))) == [.key], "\(text)")
      #expect(world.store.log.isEmpty)
    }
  }

  @Test("the account of keys without an account stays")
  func standard() throws {
    var world = try world()
    try world.change(
      .setOrganisation(
        id: KeyRegistry.defaultAccount, name: "D", isPrepaid: false, budgets: []))
    let refusal = try refused(world, KeyRegistry.defaultAccount)
    #expect(text(refusal).contains("keys that are created without an account belong to it"))
    #expect(isTemporary(refusal) == false)
  }

  @Test("a new team with the id of a removed one has spent nothing, also after a restart")
  func newTeam() throws {
    var world = try world()
    let day = BudgetWindow(.calendar, .day)
    let team = try account("acme/web")
    func create() throws -> AccountChange {
      .setTeam(
        team, name: "W", budgets: [try BudgetTerms(amount: MicroCredits(100), window: day)])
    }
    func spent(_ book: AccountBook) -> MicroCredits? {
      book.spent(day, of: .team(team), at: world.wall)
    }
    try world.change(create())
    world.handle(.key("k1", account: team, isActive: true))
    world.handle(ask(1, 100))
    world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    #expect(spent(world.book) == MicroCredits(60))
    try endKey(&world, account: "acme/web")
    var checkpoints = [try #require(world.book.checkpoint)]
    try world.change(.removeAccount(team, keys: []))
    checkpoints.append(try #require(world.book.checkpoint))
    #expect(spent(world.book) == nil)
    try world.change(create())
    #expect(spent(world.book) == .zero)
    try world.restart()
    #expect(spent(world.book) == .zero)
    for checkpoint in checkpoints {
      var replay = try world.store.replay(at: world.time)
      try replay.restore(checkpoint, last: try #require(world.store.log.last))
      let (book, _) = try replay.finish(keys: world.store.keys)
      #expect(spent(book) == .zero)
    }
  }
}
