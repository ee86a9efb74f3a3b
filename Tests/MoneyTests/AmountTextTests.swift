import Money
import Testing

@Suite("Amounts as text")
struct AmountTextTests {
  @Test(
    "credits are read exactly",
    arguments: [
      ("0", 0), ("0.15", 150_000), ("3", 3_000_000), ("0.000001", 1), ("1.500000", 1_500_000),
      ("007.5", 7_500_000), ("9223372036854.775807", Int64.max),
    ])
  func reading(text: String, count: Int64) throws {
    #expect(try MicroCredits(credits: text) == MicroCredits(count))
  }

  @Test(
    "other texts are clear errors",
    arguments: [
      ("", .notDecimal), ("-1", .negative), ("-", .negative), ("+1", .notDecimal),
      ("1e3", .notDecimal), ("0x1", .notDecimal), (" 1", .notDecimal), ("1.", .notDecimal),
      (".5", .notDecimal), ("1.2.3", .notDecimal), ("1,5", .notDecimal), ("٣", .notDecimal),
      ("0.0000001", .tooManyDecimals), ("0.1500000", .tooManyDecimals),
      ("9223372036854.775808", .aboveMaximum(MicroCredits(.max))),
      ("99999999999999999999999999", .aboveMaximum(MicroCredits(.max))),
    ] as [(String, AmountTextError)])
  func refusals(text: String, error: AmountTextError) {
    #expect(throws: error) { try MicroCredits(credits: text) }
  }

  @Test("a text of a megabyte is refused by its length")
  func longText() {
    let text = String(repeating: "1", count: 1_000_000)
    #expect(throws: AmountTextError.notDecimal) { try MicroCredits(credits: text) }
  }

  @Test("a printed amount is read back as the same amount")
  func roundTrip() throws {
    var rng = SplitMixSource(seed: 1)
    for _ in 0..<1_000 {
      let amount = MicroCredits(Int64(rng.next() >> rng.number(1...63)))
      #expect(try MicroCredits(credits: amount.credits) == amount)
    }
    #expect(MicroCredits(-1_500_000).credits == "-1.5")
    #expect(MicroCredits(-1).credits == "-0.000001")
    #expect(MicroCredits(.min).credits == "-9223372036854.775808")
  }

  @Test("a price has a maximum of its own")
  func price() throws {
    #expect(try TokenPrice.parse("1000000000") == TokenPrice.highest)
    #expect(throws: AmountTextError.aboveMaximum(TokenPrice.highest)) {
      try TokenPrice.parse("1000000000.000001")
    }
  }
}
