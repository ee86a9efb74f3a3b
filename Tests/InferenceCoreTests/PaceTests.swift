import ClusterModel
import ClusterTesting
import Testing

@testable import InferenceCore

@Suite("The pace of an answering host")
struct PaceTests {
  @Test("a rate below the floor is reported when its window ends, and not before")
  func belowFloor() {
    var pace = Pace(floor: 2, from: at(0))
    pace.count(10)
    #expect(pace.nextCheck == at(10))
    #expect(pace.check(now: at(9)) == nil)
    #expect(pace.check(now: at(10)) == 1)
  }

  @Test("each window counts its own tokens")
  func ownTokens() {
    var pace = Pace(floor: 2, from: at(0))
    pace.count(20)
    #expect(pace.check(now: at(10)) == nil, "the floor itself is enough")
    #expect(pace.check(now: at(20)) == 0)
  }

  @Test("a restart begins a new window with the same floor")
  func restart() {
    var pace = Pace(floor: 2, from: at(0))
    pace.count(20)
    pace.restart(at(5))
    #expect(pace.floor == 2 && pace.nextCheck == at(15))
    #expect(pace.check(now: at(15)) == 0)
  }
}
