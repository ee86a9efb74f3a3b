import ClusterModel
import Limits
import Money
import RegistryCore
import Testing

@Suite("Prices in the book of accounts")
struct AccountPriceTests: AccountBookSuite {
  @Test("an alias that a recovered report names earns the host the price of its model")
  func alias() throws {
    var world = try world()
    try world.change(
      .addPrice(
        PriceRow(
          model: "real", host: Self.host, effectiveFrom: world.wall, price: try price(0, 700_000))))
    #expect(world.handle(.aliases([Self.model: ["other", "real"]])) == [.publishPrices])
    #expect(world.handle(.aliases([Self.model: ["other", "real"]])) == [])
    world.handle(ask(1, 100))
    let directives = world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    guard case .append(let transactions) = directives.first else {
      Issue.record("\(directives)")
      return
    }
    #expect(
      transactions.first?.entries.contains(
        LedgerEntry(account: .host(Self.host), amount: MicroCredits(42))) == true)
  }

  @Test("gateways get the price of an alias with the others")
  func aliasPrice() throws {
    var world = try world()
    try world.change(
      .addPrice(PriceRow(model: "real", effectiveFrom: world.wall, price: try price(0, 700))))
    world.handle(.aliases([Self.model: ["real"]]))
    let table = try world.book.priceTable(epoch: 1, revision: 1, at: world.wall)
    #expect(try table.price(of: Self.model, at: world.wall) == price(0, 700))
  }

  @Test("a price is refused if a table could not hold it when it comes into force")
  func tooManyPrices() throws {
    var world = try world()
    for number in 0..<Limits.publishedPrices.value {
      let row = PriceRow(
        model: ModelID("m\(number)"), effectiveFrom: world.wall, price: .free)
      world.store.save(.price(row))
    }
    try world.restart()
    let later = PriceRow(model: Self.model, effectiveFrom: world.wall + 1, price: .free)
    #expect(throws: AccountRefusal.price(.full)) {
      try world.book.record(for: .addPrice(later), at: world.wall)
    }
  }
}
