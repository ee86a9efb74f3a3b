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

  /// A world with as many priced models (`m0`, `m1` and so on) as a published table may have.
  private func fullWorld() throws -> AccountWorld {
    var world = try world()
    for number in 0..<Limits.publishedPrices.value {
      world.store.save(.price(row(ModelID("m\(number)"), from: world.wall)))
    }
    try world.restart()
    return world
  }

  private func row(_ model: ModelID, on host: HostID? = nil, from time: Int64) -> PriceRow {
    PriceRow(model: model, host: host, effectiveFrom: time, price: .free)
  }

  @Test("a price of one model more than gateways can be given is refused, now and for later")
  func tooManyPrices() throws {
    let world = try fullWorld()
    for time in [world.wall, world.wall + 1] {
      #expect(throws: AccountRefusal.price(.tooManyModels)) {
        try world.book.record(for: .addPrice(row(Self.model, from: time)), at: world.wall)
      }
    }
    #expect(throws: AccountRefusal.price(.tooManyModels)) {
      try world.book.check(aliases: [Self.model: ["m0"]])
    }
    // A second price of a model and a price of one host do not add a priced model.
    for row in [
      row("m0", from: world.wall + 1), row(Self.model, on: Self.host, from: world.wall),
    ] {
      #expect(throws: Never.self) {
        try world.book.record(for: .addPrice(row), at: world.wall)
      }
    }
    #expect(throws: Never.self) { try world.book.check(aliases: ["m1": ["m0"]]) }
  }

  @Test("a withdrawn price stays withdrawn after a restart, and gateways get the prices without it")
  func withdrawal() throws {
    var world = try world()
    let later = world.wall + 60_000
    let wrong = PriceRow(model: "new", effectiveFrom: later, price: try price(0, 900))
    let right = PriceRow(model: "new", effectiveFrom: later, price: try price(0, 700))
    try world.change(.addPrice(wrong))
    let directives = try world.change(.withdrawPrice(wrong))
    #expect(directives.contains(.publishPrices))
    #expect(throws: AccountRefusal.price(.absent)) {
      try world.book.record(for: .withdrawPrice(wrong), at: world.wall)
    }
    try world.change(.addPrice(right))
    for _ in 0..<2 {
      let table = try world.book.priceTable(epoch: 1, revision: 1, at: later)
      #expect(try table.price(of: "new", at: later) == price(0, 700))
      try world.restart()
    }
    world.wall = later
    #expect(throws: AccountRefusal.self) {
      try world.book.record(for: .withdrawPrice(right), at: world.wall)
    }
  }

  @Test("the price of an alias counts, although no admin set it")
  func aliasesCount() throws {
    var world = try world()
    for number in 0..<Limits.publishedPrices.value - 1 {
      world.store.save(.price(row(ModelID("m\(number)"), from: world.wall)))
    }
    try world.restart()
    world.handle(.aliases(["alias": ["m0"], "other": ["m0", Self.model]]))
    // A model without a price is free. So the alias "other" has a price, too, which is one too
    // many.
    #expect(world.book.pricedModels == Limits.publishedPrices.value + 1)
    world.handle(.aliases(["alias": ["m0"]]))
    #expect(throws: AccountRefusal.price(.tooManyModels)) {
      try world.book.record(for: .addPrice(row(Self.model, from: world.wall)), at: world.wall)
    }
    try world.change(.setUnknownPrice(.refuse))
    world.handle(.aliases(["alias": ["m0"], "other": ["m0", Self.model]]))
    #expect(throws: AccountRefusal.price(.tooManyModels)) {
      try world.book.record(for: .setUnknownPrice(.free), at: world.wall)
    }
  }
}
