import ClusterModel
import GatewayCore
import Limits
import Money
import Testing

@Suite("Reports about keys in a gateway")
struct SpendingCacheTests {
  private let key = AccountID.key("k1")

  private func report(_ key: AccountID) -> SpendingReport {
    SpendingReport(key: key, budgets: [], balance: nil, rows: [], firstDay: 0)
  }

  private func at(_ milliseconds: Int) -> Instant {
    Instant(sinceStart: .milliseconds(milliseconds))
  }

  @Test("one caller asks, others wait, and the answer is used for a second")
  func once() {
    var cache = SpendingCache()
    #expect(cache.lookUp(key, at: at(0)) == .ask)
    #expect(cache.lookUp(key, at: at(1)) == .wait)
    cache.store(report(key), of: key, at: at(5))
    #expect(cache.lookUp(key, at: at(1_004)) == .known(report(key)))
    #expect(cache.lookUp(key, at: at(1_005)) == .ask)
  }

  @Test("the registry's silence is remembered for a second, too")
  func silence() {
    var cache = SpendingCache()
    _ = cache.lookUp(key, at: at(0))
    cache.store(nil, of: key, at: at(1_000))
    #expect(cache.lookUp(key, at: at(1_999)) == .known(nil))
    #expect(cache.lookUp(key, at: at(2_000)) == .ask)
  }

  @Test("if the caller leaves, the next one asks")
  func left() {
    var cache = SpendingCache(maximumCalls: 1)
    _ = cache.lookUp(key, at: at(0))
    cache.abandon(key)
    #expect(cache.lookUp(key, at: at(0)) == .ask)
    // A caller that asked nothing cannot end the question of another caller.
    cache.abandon(.key("k2"))
    cache.store(nil, of: .key("k2"), at: at(0))
    #expect(cache.lookUp(.key("k2"), at: at(0)) == .busy)
  }

  @Test("questions and kept answers are limited, and an old answer leaves first")
  func bounds() {
    var cache = SpendingCache(capacity: 2, maximumCalls: 2)
    #expect(cache.lookUp(.key("a"), at: at(0)) == .ask)
    #expect(cache.lookUp(.key("b"), at: at(0)) == .ask)
    #expect(cache.lookUp(.key("c"), at: at(0)) == .busy)
    cache.store(report(.key("a")), of: .key("a"), at: at(1))
    cache.store(report(.key("b")), of: .key("b"), at: at(2))
    #expect(cache.lookUp(.key("c"), at: at(3)) == .ask)
    cache.store(report(.key("c")), of: .key("c"), at: at(4))
    #expect(cache.count == 2)
    #expect(cache.lookUp(.key("b"), at: at(5)) == .known(report(.key("b"))))
    #expect(cache.lookUp(.key("a"), at: at(5)) == .ask)
    for number in 0..<1_000 {
      let key = AccountID.key("\(number)")
      if cache.lookUp(key, at: at(2_000 + number)) == .ask {
        cache.store(nil, of: key, at: at(2_000 + number))
      }
      #expect(cache.count <= 4)
    }
  }
}
