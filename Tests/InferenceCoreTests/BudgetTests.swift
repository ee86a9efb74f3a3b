import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

@Suite("Budgets")
struct BudgetTests {
  @Test("second legs are free in an idle cluster and scarce in a full one")
  func shares() {
    let budget = SpeculationBudget()
    #expect(budget.share(at: 0) == 1 && budget.share(at: 0.4) == 1)
    #expect(abs(budget.share(at: 0.6) - 0.525) < 1e-9)
    #expect(abs(budget.share(at: 0.8) - 0.05) < 1e-9 && abs(budget.share(at: 3) - 0.05) < 1e-9)
  }

  @Test("an idle cluster races every request, a full one every twentieth")
  func legs() {
    for (utilisation, expected) in [(0.1, 1_000...1_000), (0.95, 50...56)] {
      var budget = SpeculationBudget()
      for _ in 0..<1_000 {
        budget.requestBegan(utilisation: utilisation)
        _ = budget.take()
      }
      #expect(expected.contains(budget.legs), "\(utilisation): \(budget.legs)")
      #expect(budget.legs + budget.refused == 1_000)
    }
  }

  /// Simulates an open cluster of 40 slots with exponential service times.
  ///
  /// Arrivals do not depend on the load. Each request wants a second leg, which holds a slot for
  /// half of the request's service time.
  private func extraLoad(
    offered: Double, seed: UInt64, budgeted: Bool
  ) -> (extra: Double, peak: Double) {
    var rng = SplitMix64(seed: seed)
    var budget = SpeculationBudget()
    let slots = 40.0
    var ends: [Double] = []
    var now = 0.0
    var (legs, peak) = (0, 0.0)
    func exponential(_ mean: Double) -> Double {
      -mean * BinaryLogarithm.of(Double.random(in: 1e-12..<1, using: &rng)) * 0.693_147
    }
    for _ in 0..<20_000 {
      now += exponential(1 / (slots * offered))
      ends.removeAll { $0 <= now }
      let utilisation = Double(ends.count) / slots
      peak = max(peak, utilisation)
      budget.requestBegan(utilisation: utilisation)
      // If more requests run than the cluster has slots, each takes longer, as at a host that
      // shares its processor.
      let service = exponential(1) * max(1, utilisation)
      ends.append(now + service)
      let isAllowed = budgeted ? budget.take() : true
      guard isAllowed else { continue }
      legs += 1
      ends.append(now + service * 0.5)
    }
    return (Double(legs) / 20_000, peak)
  }

  @Test("a cluster at 95 % is not doubled by its races", arguments: 0..<5 as Range<UInt64>)
  func full(seed: UInt64) {
    let with = extraLoad(offered: 0.95, seed: seed, budgeted: true)
    let without = extraLoad(offered: 0.95, seed: seed, budgeted: false)
    #expect(with.extra <= 0.10, "\(with)")
    #expect(without.extra == 1 && without.peak > with.peak, "\(with) \(without)")
    #expect(extraLoad(offered: 0.2, seed: seed, budgeted: true).extra > 0.95)
  }

  @Test("retries are bounded by half of the requests and a few a second")
  func retries() {
    var budget = RetryBudget()
    var retried = 0
    for number in 0..<10_000 {
      let now = at(Double(number) / 100)
      budget.requestBegan(now: now)
      for _ in 0..<3 where budget.take(now: now) { retried += 1 }
    }
    #expect((5_000...5_400).contains(retried), "\(retried)")
  }

  @Test("where one attempt in five fails, no retry is refused", arguments: 0..<10 as Range<UInt64>)
  func failureAsTheNorm(seed: UInt64) {
    var rng = SplitMix64(seed: seed)
    var budget = RetryBudget()
    for number in 0..<10_000 {
      let now = at(Double(number) / 1_000)
      budget.requestBegan(now: now)
      for _ in 0..<4 {
        guard Int.random(in: 0..<5, using: &rng) == 0 else { break }
        let isAllowed = budget.take(now: now)
        #expect(isAllowed)
      }
    }
    #expect(budget.refused == 0)
  }

  @Test("a quiet process may always retry")
  func quiet() {
    var budget = RetryBudget()
    for minute in 0..<100 {
      let now = at(Double(minute) * 60)
      budget.requestBegan(now: now)
      for _ in 0..<3 {
        let isAllowed = budget.take(now: now)
        #expect(isAllowed)
      }
    }
  }
}
