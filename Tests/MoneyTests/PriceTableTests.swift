import ClusterModel
import Limits
import Money
import Testing

@Suite("Prices for gateways")
struct PriceTableTests {
  private static func price(_ count: Int64) throws -> TokenPrice {
    try TokenPrice(
      input: MicroCredits(count), cachedInput: MicroCredits(count), output: MicroCredits(count))
  }

  private static func row(
    _ model: ModelID, _ time: Int64, _ count: Int64, host: HostID? = nil
  ) throws -> PriceRow {
    PriceRow(model: model, host: host, effectiveFrom: time, price: try price(count))
  }

  @Test("a price changes at its time without another table")
  func change() throws {
    let table = try PriceTable(
      epoch: 1, revision: 1, unknown: .refuse,
      rows: [try Self.row("m", 10, 1), try Self.row("m", 20, 2)])
    #expect(table.price(of: "m", at: 9) == nil)
    #expect(try table.price(of: "m", at: 19) == Self.price(1))
    #expect(try table.price(of: "m", at: 20) == Self.price(2))
  }

  @Test("models without a price are refused or free, according to the setting")
  func unknown() throws {
    for (unknown, price) in [(UnknownPrice.refuse, nil), (.free, TokenPrice.free)] {
      let table = try PriceTable(epoch: 1, revision: 1, unknown: unknown)
      #expect(table.price(of: "m", at: 0) == price)
    }
  }

  @Test("only prices of clients that are in force now or later are published")
  func selection() throws {
    let book = try PriceBook(
      stored: [
        try Self.row("a", 1, 1), try Self.row("a", 5, 2), try Self.row("a", 9, 3),
        try Self.row("b", 1, 4, host: "h"), try Self.row("c", 7, 5),
      ])
    let table = try PriceTable(epoch: 1, revision: 2, unknown: .free, book: book, at: 6)
    #expect(
      try table.rows == [Self.row("a", 5, 2), Self.row("a", 9, 3), Self.row("c", 7, 5)])
  }

  @Test("a full book is published without its latest changes")
  func full() throws {
    let most = Limits.publishedPrices.value
    var rows: [PriceRow] = []
    for number in 0..<most - 1 { rows.append(try Self.row(ModelID("m\(number)"), 0, 1)) }
    rows += [try Self.row("m0", 20, 2), try Self.row("m0", 10, 3)]
    let table = try PriceTable(
      epoch: 1, revision: 1, unknown: .free, book: PriceBook(stored: rows), at: 0)
    #expect(table.rows.count == most)
    #expect(try table.price(of: "m0", at: 30) == Self.price(3))
    #expect(throws: PriceRowRefusal.full) {
      try PriceTable(epoch: 1, revision: 1, unknown: .free, rows: rows)
    }
  }

  @Test(
    "without room for all prices in force, set prices come first, and left-out models are refused")
  func cut() throws {
    let most = Limits.publishedPrices.value
    var rows: [PriceRow] = []
    for number in 0..<most { rows.append(try Self.row(ModelID("m\(number)"), 0, 1)) }
    let aliases: [ModelID: [ModelID]] = ["a": ["m0"], "b": ["m1"]]
    for (set, leftOut) in [(rows, ["a", "b"]), (Array(rows.dropLast()), ["b"])] {
      let table = try PriceTable(
        epoch: 1, revision: 1, unknown: .free, book: PriceBook(stored: set), aliases: aliases,
        at: 0)
      #expect(table.rows.count == most)
      for row in set { #expect(table.price(of: row.model, at: 0) != nil) }
      for model in leftOut { #expect(table.price(of: ModelID(model), at: 0) == nil) }
    }
  }

  @Test("a table replaces older ones, and those of an earlier registry")
  func replacing() throws {
    let table = try PriceTable(epoch: 1, revision: 2, unknown: .free)
    #expect(try PriceTable(epoch: 1, revision: 3, unknown: .free).replaces(table))
    #expect(try !PriceTable(epoch: 1, revision: 1, unknown: .free).replaces(table))
    #expect(try PriceTable(epoch: 2, revision: 1, unknown: .free).replaces(table))
  }
}
