import ClusterModel
import Money
import Testing

@Suite("Prices of aliases")
struct AliasPriceTests {
  private static func row(
    _ model: ModelID, _ time: Int64, _ input: Int64, _ output: Int64, host: HostID? = nil
  ) throws -> PriceRow {
    PriceRow(
      model: model, host: host, effectiveFrom: time, price: try price(input, output))
  }

  private static func price(_ input: Int64, _ output: Int64) throws -> TokenPrice {
    try TokenPrice(
      input: MicroCredits(input), cachedInput: MicroCredits(input), output: MicroCredits(output))
  }

  private static func table(
    _ rows: [PriceRow], _ unknown: UnknownPrice = .refuse, at time: Int64 = 100
  ) throws -> PriceTable {
    try PriceTable(
      epoch: 1, revision: 1, unknown: unknown, book: PriceBook(stored: rows),
      aliases: ["alias": ["a", "b"]], at: time)
  }

  @Test("an alias costs as much as the dearest model, for each kind of token")
  func dearest() throws {
    let table = try Self.table([
      try Self.row("a", 0, 1, 20), try Self.row("b", 10, 5, 10),
      try Self.row("b", 0, 900, 900, host: "h"),
    ])
    #expect(try table.price(of: "alias", at: 100) == Self.price(5, 20))
  }

  @Test("the alias's price changes when one of the models' does, now and later")
  func times() throws {
    let table = try Self.table([
      try Self.row("a", 0, 1, 1), try Self.row("b", 0, 1, 1), try Self.row("a", 200, 3, 1),
      try Self.row("b", 300, 2, 7),
    ])
    for (time, price) in [
      (Int64(100), try Self.price(1, 1)), (200, try Self.price(3, 1)), (299, try Self.price(3, 1)),
      (300, try Self.price(3, 7)),
    ] {
      #expect(table.price(of: "alias", at: time) == price, "\(time)")
    }
  }

  @Test("the alias's own price comes first from its time on")
  func own() throws {
    let table = try Self.table([
      try Self.row("a", 0, 9, 9), try Self.row("b", 0, 9, 9), try Self.row("alias", 150, 2, 2),
      try Self.row("a", 200, 50, 50),
    ])
    #expect(try table.price(of: "alias", at: 149) == Self.price(9, 9))
    #expect(try table.price(of: "alias", at: 150) == Self.price(2, 2))
    #expect(try table.price(of: "alias", at: 250) == Self.price(2, 2))
  }

  @Test("a price is never guessed: an alias of a model without one is refused, or free with it")
  func unknown() throws {
    let rows = [try Self.row("a", 0, 9, 9)]
    #expect(try Self.table(rows).price(of: "alias", at: 100) == nil)
    #expect(try Self.table(rows, .free).price(of: "alias", at: 100) == Self.price(9, 9))
    #expect(try Self.table([], .free).price(of: "alias", at: 100) == .free)
  }
}
