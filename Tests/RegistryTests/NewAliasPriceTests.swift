import ClusterModel
import Limits
import Logging
import Money
import RegistryCore
import Store
import Testing

@testable import RegistryService

@Suite("Prices of new aliases")
struct NewAliasPriceTests: AccountShellSuite {
  @Test("an alias that gives one more model a price than gateways can be given is refused")
  func refusal() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    var rows: [RecordChange] = []
    for number in 0..<Limits.publishedPrices.value {
      let row = PriceRow(model: ModelID("m\(number)"), effectiveFrom: wall, price: .free)
      rows.append(try AccountRecord.price(row).change(.absent))
    }
    _ = try await store.apply(rows, by: Self.author)
    let accounts = try await shell(store, Outbox())
    let models = try await ModelShell(
      store: store, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      check: { models throws(Failure) in try accounts.check(aliases: models.aliases) },
      apply: { models, _ in accounts.receiveAliases(models.aliases) })
    let running = Task { try await models.run() }
    let error = await #expect(throws: Failure.self) {
      try await models.change(by: "ann") { models throws(Failure) in
        try models.patch("alias", ModelPatch(standsFor: ["m0"]))
      }
    }
    #expect(error?.code == .invalidRequest)
    #expect(error?.param == "stands_for")
    #expect(models.models.aliases.isEmpty)
    try await models.change(by: "ann") { models throws(Failure) in
      try models.patch("m1", ModelPatch(isHidden: true))
    }
    #expect(try await store.models().count == 1)
    running.cancel()
    _ = try? await running.value
    await store.close()
  }
}
