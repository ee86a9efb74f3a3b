import Limits
import Testing

@Suite struct AllowanceTests {
  let memory = Limit("test.memory", 100, .bytes, "A test.")
  let perByte = Limit("test.work", 2, .count, "A test.")
  let free = Limit("test.free", 10, .count, "A test.")

  @Test("each byte received grants work, on top of the free work")
  func work() throws {
    var allowance = Allowance(memory: memory, workPerByte: perByte, freeWork: free)
    try allowance.work(10)
    #expect(throws: Overdrawn(perByte)) { try allowance.work(1) }
    allowance.receive(1)
    try allowance.work(1)
    #expect(throws: Overdrawn(perByte)) { try allowance.work(1) }
  }

  @Test("kept bytes are bounded until they are released")
  func memoryIsBounded() throws {
    var allowance = Allowance(memory: memory)
    try allowance.keep(100)
    allowance.release(60)
    try allowance.keep(60)
    #expect(throws: Overdrawn(memory)) { try allowance.keep(1) }
    #expect(allowance.mostKept == 101)
  }

  @Test("huge and negative amounts from outside neither trap nor grant anything")
  func extremes() throws {
    var allowance = Allowance(memory: memory, workPerByte: perByte, freeWork: free)
    allowance.receive(-5)
    #expect(allowance.received == 0)
    allowance.receive(.max)
    allowance.receive(.max)
    #expect(allowance.received == .max)
    try allowance.work(.max)
    try allowance.work(.max)
    allowance.release(.min)
    #expect(throws: Overdrawn(memory)) { try allowance.keep(.max) }
  }

  @Test("capped arithmetic returns the nearest value the type holds")
  func capped() {
    #expect(Int.max.addingCapped(1) == .max)
    #expect(Int.min.addingCapped(-1) == .min)
    #expect(Int.min.subtractingCapped(1) == .min)
    #expect(0.subtractingCapped(Int.min) == .max)
    #expect(Int.max.multipliedCapped(by: -2) == .min)
    #expect(Int.min.multipliedCapped(by: -1) == .max)
    #expect(3.multipliedCapped(by: 4) == 12)
  }
}
