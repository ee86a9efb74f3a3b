import ClusterModel
import Limits
import Money
import Testing

@testable import GatewayService

@Suite("Reports of the registry about keys", .timeLimit(.minutes(2)))
struct SpendingReportsTests {
  @Test("callers at the same time share one question to the registry")
  func shared() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      let found = await withTaskGroup(of: SpendingReport?.self) { group in
        for _ in 0..<100 {
          group.addTask { await cluster.reports.report(of: MoneyCluster.key) }
        }
        return await group.reduce(into: [SpendingReport?]()) { $0.append($1) }
      }
      #expect(found.count == 100)
      #expect(found.allSatisfy { $0?.key == MoneyCluster.key })
      // The registry is always asked for all days, so that one answer serves all callers.
      #expect(found.allSatisfy { $0?.firstDay == Int64(Limits.usageDays.value) })
      #expect(cluster.queries < 100)
    }
  }

  @Test("without the registry there is no report, and it is not asked again at once")
  func away() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      cluster.leave()
      for _ in 0..<20 {
        #expect(await cluster.reports.report(of: MoneyCluster.key) == nil)
      }
      #expect(cluster.queries < 20)
    }
  }

  @Test("a caller that leaves does not keep others from an answer")
  func cancelled() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      await withTaskGroup(of: Void.self) { group in
        group.addTask { _ = await cluster.reports.report(of: MoneyCluster.key) }
        group.cancelAll()
      }
      #expect(await cluster.reports.report(of: MoneyCluster.key) != nil)
    }
  }
}
