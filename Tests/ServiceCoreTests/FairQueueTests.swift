import ClusterModel
import ClusterTesting
import OverloadCore
import Testing

@Suite("Fair between clients")
struct FairQueueTests {
  @Test("a client with one task waits one turn, whatever others have waiting")
  func turns() {
    var queue = FairQueue<String, Int>(limit: 1)
    #expect(queue.join(0, client: "many") == [0])
    for ticket in 1...1_000 { #expect(queue.join(ticket, client: "many") == []) }
    #expect(queue.join(5_000, client: "one") == [])
    #expect(queue.join(6_000, client: "other") == [])
    var served: [Int] = []
    for _ in 0..<6 { served += queue.end() }
    #expect(served == [1, 5_000, 6_000, 2, 3, 4])
    #expect(queue.waitingCount == 996)
  }

  @Test("a waiting ticket that leaves uses no turn")
  func leaving() {
    var queue = FairQueue<String, Int>(limit: 1)
    _ = queue.join(0, client: "a")
    _ = queue.join(1, client: "a")
    _ = queue.join(2, client: "b")
    _ = queue.join(3, client: "a")
    #expect(queue.leave(1) == true)
    #expect(queue.leave(1) == false)
    // The ticket is already running.
    #expect(queue.leave(0) == false)
    #expect(queue.end() == [3])
    #expect(queue.end() == [2])
    #expect(queue.end() == [])
    #expect(queue.running == 0)
  }

  @Test("a higher limit lets waiting tickets begin, a lower one stops no running ticket")
  func limits() {
    var queue = FairQueue<String, Int>(limit: 1)
    for ticket in 0..<5 { _ = queue.join(ticket, client: "\(ticket % 2)") }
    #expect(queue.setLimit(3) == [1, 2])
    #expect(queue.setLimit(0) == [])
    #expect(queue.limit == 1)
    #expect(queue.end() == [])
    #expect(queue.end() == [])
    #expect(queue.end() == [3])
  }

  @Test("with any order of events, the limit holds, and every ticket begins exactly once")
  func random() {
    for seed in UInt64(0)..<300 {
      var rng = SeededGenerator(seed: seed)
      let limit = Int.random(in: 1...5, using: &rng)
      var queue = FairQueue<String, Int>(limit: limit)
      var joined: Set<Int> = []
      var left: Set<Int> = []
      var begun: Set<Int> = []
      func admit(_ tickets: [Int]) {
        for ticket in tickets {
          #expect(begun.insert(ticket).inserted && !left.contains(ticket), "seed \(seed)")
        }
      }
      for ticket in 0..<300 {
        switch rng.next() % 4 {
        case 0, 1:
          joined.insert(ticket)
          admit(queue.join(ticket, client: "\(rng.next() % 3)"))
        case 2: if queue.running > 0 { admit(queue.end()) }
        default:
          let ticket = Int.random(in: 0...ticket, using: &rng)
          if queue.leave(ticket) { left.insert(ticket) }
        }
        #expect(queue.running <= limit, "seed \(seed)")
        // No ticket waits while there is room.
        #expect(queue.running == limit || queue.waitingCount == 0, "seed \(seed)")
      }
      while queue.running > 0 { admit(queue.end()) }
      #expect(begun.union(left) == joined, "seed \(seed)")
    }
  }
}
