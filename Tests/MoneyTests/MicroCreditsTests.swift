import Money
import Testing

struct MicroCreditsTests {
  @Test func sumsOutsideTheRangeAreErrors() throws {
    #expect(throws: MoneyError.overflow) {
      try MicroCredits(.max).adding(MicroCredits(1))
    }
    #expect(throws: MoneyError.overflow) { try MicroCredits(.min).negated() }
    #expect(try MicroCredits(2).adding(MicroCredits(3)) == MicroCredits(5))
  }
}
