import Access
import ClusterModel
import Foundation
import GRDB
import Logging
import Money
import RegistryCore
import Store
import Synchronization
import Testing

@testable import RegistryService

/// A file in a folder of its own, which is removed at the end.
final class AccountScratch {
  let folder = NSTemporaryDirectory() + "tutti-accounts-\(UUID().uuidString)"
  var path: String { folder + "/accounts.sqlite" }

  init() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func edit(_ sql: String) throws {
    try DatabaseQueue(path: path).write { try $0.execute(sql: sql) }
  }
}

/// Messages of a shell.
final class AccountOutbox: Sendable {
  private let state = Mutex<(answers: [LeaseAnswer], tables: [PriceTable])>(([], []))

  var outlet: AccountShell.Outlet {
    AccountShell.Outlet(
      send: { [self] answer, _ in state.withLock { $0.answers.append(answer) } },
      publish: { [self] table in state.withLock { $0.tables.append(table) } })
  }

  /// Answers since the last call.
  func takeAnswers() -> [LeaseAnswer] {
    state.withLock { state in
      defer { state.answers = [] }
      return state.answers
    }
  }

  var tables: [PriceTable] { state.withLock { $0.tables } }
}

/// Tests with the accounts of organisation `acme` and its key `k1`.
protocol AccountShellSuite {}

extension AccountShellSuite {
  typealias Scratch = AccountScratch
  typealias Outbox = AccountOutbox

  static var gateway: PeerID { PeerID(name: "gateway-1", incarnation: 1) }
  static var author: ChangeAuthor { ChangeAuthor(name: "ann", time: 1) }
  var lease: LeaseID { LeaseID(gateway: Self.gateway, number: 1) }
  var wall: Int64 { 1_790_000_000_000 }

  func shell(
    _ store: any AccountStoring, _ outbox: Outbox, checkpointInterval: Int = 50_000
  ) async throws -> AccountShell {
    try await AccountShell(
      store: store, epoch: 7, outlet: outbox.outlet, logger: Logger(label: "test"),
      checkpointInterval: checkpointInterval,
      now: { [wall] in AccountTime(wall: wall, instant: .zero) })
  }

  /// Processes one order while its caller waits.
  func process<Value: Sendable>(
    _ shell: AccountShell, _ order: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    // The shell's own loop is not used, because a shell that is cancelled within a message does not
    // read the store again.
    let isDone = Mutex(false)
    let outcome = Task {
      defer { isDone.withLock { $0 = true } }
      return try await order()
    }
    while !isDone.withLock(\.self) {
      _ = await shell.processInbox()
      await Task.yield()
    }
    return try await outcome.value
  }

  func setUp(_ shell: AccountShell) async throws {
    let terms = try BudgetTerms(
      amount: MicroCredits(1_000), window: BudgetWindow(.calendar, .day))
    let author = Self.author
    _ = try await process(shell) {
      try await shell.change(
        .setOrganisation(id: "acme", name: "Acme", isPrepaid: false, budgets: [terms]),
        expecting: .absent, by: author)
    }
    let account = try #require(AccountPath("acme"))
    shell.receive(.key("k1", account: account, isActive: true))
    _ = await shell.processInbox()
  }

  func ask(_ number: UInt64, _ amount: Int64, granted: Int64 = 0) -> AccountBook.Event {
    .lease(
      .ask(
        LeaseAsk(
          lease: lease, key: .key("k1"), number: number, granted: MicroCredits(granted),
          minimum: MicroCredits(1),
          worst: MicroCredits(amount), want: MicroCredits(amount))), from: Self.gateway)
  }

  func settlement(_ number: UInt64, billed: Int64) throws -> AccountBook.Event {
    let usage = try TokenUsage(prompt: 0, completion: billed)
    return .settlement(
      Settlement(
        lease: LeaseSettlement(
          lease: lease, key: .key("k1"), number: number, request: number,
          hold: MicroCredits(billed), billed: MicroCredits(billed)),
        trace: "t", model: ModelID("m"), admittedAt: wall,
        price: try TokenPrice(
          input: .zero, cachedInput: .zero, output: MicroCredits(1_000_000)),
        answers: [SettledAnswer(usage: usage, attempts: [])]), from: Self.gateway)
  }
}
