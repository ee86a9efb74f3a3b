import ClusterModel
import Logging
import Money
import Store
import Testing

@testable import RegistryCore
@testable import RegistryService

@Suite("The hosts' own prices in the accounts")
struct HostPriceTests {
  @Test("prices of an earlier host table do not replace those of a later one")
  func order() async throws {
    let scratch = try TestRegistry.Scratch()
    let store = try AccountStore(path: scratch.path + "/accounts.sqlite")
    let shell = try await AccountShell(
      store: store, epoch: 1, outlet: AccountShell.Outlet(send: { _, _ in }, publish: { _ in }),
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      now: { AccountTime(wall: 1_790_000_000_000, instant: .zero) })
    let host = HostID("h")
    for (revision, price) in [(2, 5), (1, 3), (3, 7)] as [(UInt64, Int64)] {
      let price = MicroCredits(price)
      let known = try TokenPrice(input: price, cachedInput: price, output: price)
      shell.receiveHostPrices([host: known], revision: revision)
      _ = await shell.processInbox()
      let current = shell.read { $0.tariff.hostDefaults[host]?.input }
      #expect(current == (revision == 3 ? price : MicroCredits(5)))
    }
    await store.close()
  }
}
