import ClusterModel
import Limits
import Money
import RegistryCore
import Testing

@Suite("The clock of the book of accounts")
struct AccountClockTests: AccountBookSuite {
  @Test("budgets follow a clock that was corrected for good, also after a restart")
  func correctedClock() throws {
    let day: Int64 = 86_400_000
    for restarts in [false, true] {
      var world = try world(budget: 100)
      let start = world.wall
      world.wall += 4_000 * day
      world.handle(ask(1, 60))
      world.handle(
        .settlement(
          try settlement(hold: 60, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
      let (month, owner) = (BudgetWindow(.calendar, .month), BudgetOwner.organisation("acme"))
      world.wall = start
      if restarts { try world.restart() }
      // The first tick corrects nothing, because the clock may be wrong now instead of earlier.
      #expect(world.handle(.tick).isEmpty)
      let patience = Duration.milliseconds(Limits.ledgerClockPatience.value)
      world.instant = world.instant.advanced(by: patience - .seconds(1))
      world.handle(.tick)
      world.wall += day * 40
      #expect(world.book.spent(month, of: owner, at: world.wall) == MicroCredits(60))
      world.wall = start
      world.instant = world.instant.advanced(by: .seconds(1))
      world.handle(.tick)
      if restarts { try world.restart() }
      #expect(world.store.log.last?.time == start)
      #expect(world.book.spent(month, of: owner, at: start) == MicroCredits(60))
      #expect(world.book.spent(month, of: owner, at: start + 40 * day) == .zero)
      #expect(world.book.verify(against: world.store.log) == [])
      // The correction is recorded only once.
      let count = world.store.log.count
      world.handle(.tick)
      #expect(world.store.log.count == count)
    }
  }

  @Test("the clock may be wrong for minutes, or behind by hours, without an effect")
  func wrongClock() throws {
    var world = try world()
    world.handle(ask(1, 60))
    let start = world.wall
    for _ in 0..<3 {
      world.wall = 0
      world.handle(.tick)
      world.instant = world.instant.advanced(by: .seconds(590))
      world.handle(.tick)
      world.wall = start
      world.instant = world.instant.advanced(by: .seconds(20))
      world.handle(.tick)
    }
    world.wall = start - Int64(Limits.ledgerClockStep.value)
    world.handle(.tick)
    world.instant = world.instant.advanced(by: .seconds(3_600))
    world.handle(.tick)
    #expect(world.store.log.allSatisfy { $0.time == start })
  }
}
