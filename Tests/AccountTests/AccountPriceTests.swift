import ClusterModel
import Limits
import Money
import RegistryCore
import Testing

@Suite("Prices in the book of accounts")
struct AccountPriceTests: AccountBookSuite {
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
