import ClusterModel
import Foundation
import Limits
import Money
import Store
import Testing

/// A place that keeps accounts, which may be opened again.
struct AccountPlace: Sendable {
  enum Kind: String, CaseIterable, Sendable {
    case sqlite, mongoDB
  }

  private let kind: Kind
  private let scratch: Scratch
  private let uri: String

  init(_ kind: Kind) throws {
    self.kind = kind
    scratch = try Scratch()
    uri = try MongoServer.freshDatabase()
  }

  func open() async throws -> any AccountStoring {
    switch kind {
    case .sqlite: try AccountStore(path: scratch.path("accounts.sqlite"))
    case .mongoDB: try await MongoAccountStore(uri: uri, owner: "test")
    }
  }
}

@Suite("Accounts in every store", .mongoServer, .timeLimit(.minutes(5)))
struct AccountStoringTests {
  private static let author = ChangeAuthor(name: "ann", time: 7)

  private func everything(_ store: any AccountStoring) async throws -> [LedgerRow] {
    var rows: [LedgerRow] = []
    for try await page in store.replay() { rows += page }
    return rows
  }

  @Test("transactions survive a restart, in order and whole", arguments: AccountPlace.Kind.allCases)
  func survive(kind: AccountPlace.Kind) async throws {
    let place = try AccountPlace(kind)
    let transactions = [
      try transfer("a", 5, note: "{\"model\":\"m\"}"),
      try LedgerTransaction(id: "free", kind: .settle, time: 2_000, entries: []),
      try transfer("b", 1 << 60, at: .max), try transfer("ü — ∑", 0, at: .min),
    ]
    let store = try await place.open()
    #expect(
      try await store.append(transactions) == (1...4).map { LedgerAppend.appended(position: $0) })
    #expect(try await store.append([transfer("c", 1)]) == [.appended(position: 5)])
    await store.close()
    let again = try await place.open()
    let rows = try await everything(again)
    #expect(rows.map(\.transaction) == transactions + [try transfer("c", 1)])
    #expect(rows.map(\.position) == [1, 2, 3, 4, 5])
    #expect(try await again.transactions(after: 2, limit: 2).map(\.position) == [3, 4])
    #expect(try await again.transactions(after: 5, limit: 2).isEmpty)
    #expect(try await again.transaction("b") == transactions[2])
    #expect(try await again.transaction("never") == nil)
    #expect(try await again.append([transfer("d", 1)]) == [.appended(position: 6)])
    await again.close()
  }

  @Test("each transaction of a batch is judged alone", arguments: AccountPlace.Kind.allCases)
  func judged(kind: AccountPlace.Kind) async throws {
    let store = try await AccountPlace(kind).open()
    _ = try await store.append([transfer("a", 1), transfer("b", 2)])
    let results = try await store.append([
      transfer("b", 2, at: 9), transfer("b", 3), transfer("c", 3), transfer("c", 3),
      transfer("nul\u{0}", 1),
    ])
    #expect(
      results.prefix(4) == [
        .alreadyPresent(position: 2), .conflict(position: 2), .appended(position: 3),
        .alreadyPresent(position: 3),
      ])
    guard case .refused = results.last else {
      Issue.record("\(results)")
      return
    }
    #expect(try await everything(store).map(\.transaction.id) == ["a", "b", "c"])
    await store.close()
  }

  @Test(
    "transactions are appended only to the ledger that the caller knows",
    arguments: AccountPlace.Kind.allCases)
  func knownEnd(kind: AccountPlace.Kind) async throws {
    let store = try await AccountPlace(kind).open()
    #expect(
      try await store.append([transfer("a", 1), transfer("b", 1)], after: 0)
        == [.appended(position: 1), .appended(position: 2)])
    for known in [Int64(0), 1, 3] {
      let failure = await failure {
        _ = try await store.append([transfer("c", 1)], after: known)
      }
      #expect(failure?.code == .storeFailed && failure?.message.contains("2") == true)
    }
    #expect(try await everything(store).map(\.transaction.id) == ["a", "b"])
    #expect(try await store.append([transfer("c", 1)], after: 2) == [.appended(position: 3)])
    await store.close()
  }

  @Test(
    "balances are sums of entries, now and at a time", arguments: AccountPlace.Kind.allCases)
  func balances(kind: AccountPlace.Kind) async throws {
    let store = try await AccountPlace(kind).open()
    _ = try await store.append([
      transfer("a", 5, at: 10), transfer("b", 100, to: AccountID("host/gpu"), at: 15),
      transfer("c", 7, at: 20),
    ])
    _ = try await store.append([
      transfer("d", 1, from: AccountID("margin"), to: AccountID("org/acme"), at: 12)
    ])
    let acme = AccountID("org/acme")
    #expect(try await store.balance(of: acme, at: nil) == MicroCredits(-111))
    #expect(try await store.balance(of: acme, at: 9) == .zero)
    #expect(try await store.balance(of: acme, at: 15) == MicroCredits(-104))
    #expect(try await store.balance(of: AccountID("never"), at: nil) == .zero)
    let all = try await store.balances(at: nil, after: nil, limit: 10)
    #expect(all.map(\.account.name) == ["host/gpu", "margin", "org/acme"])
    #expect(all.map(\.balance.count) == [100, 11, -111])
    let page = try await store.balances(at: 10, after: AccountID("host/gpu"), limit: 1)
    #expect(page == [AccountBalance(account: AccountID("margin"), balance: MicroCredits(5))])
    await store.close()
  }

  @Test("pages follow time and position in both orders", arguments: AccountPlace.Kind.allCases)
  func pages(kind: AccountPlace.Kind) async throws {
    let store = try await AccountPlace(kind).open()
    for start in [0, 5] {
      _ = try await store.append(
        (start..<start + 5).map {
          try transfer(
            "t\($0)", 1, to: AccountID($0 % 2 == 0 ? "margin" : "host/gpu"), at: Int64($0 / 3))
        })
    }
    for account in [nil, AccountID("host/gpu")] {
      for order in [LedgerQuery.Order.oldestFirst, .latestFirst] {
        var query = LedgerQuery(account: account, times: 1..<3, order: order, limit: 2)
        var ids: [String] = []
        while true {
          let page = try await store.transactions(query)
          ids += page.rows.map(\.transaction.id)
          guard let next = page.next else { break }
          query.after = next
        }
        let expected = (3..<9).filter { account == nil || $0 % 2 == 1 }.map { "t\($0)" }
        #expect(ids == (order == .oldestFirst ? expected : expected.reversed()))
      }
    }
    await store.close()
  }

  @Test(
    "records change only from the expected state, and survive a restart",
    arguments: AccountPlace.Kind.allCases)
  func records(kind: AccountPlace.Kind) async throws {
    let place = try AccountPlace(kind)
    let store = try await place.open()
    let changes: [RecordChange] = [
      .saveTeam("blue", organisation: "acme", json: "{\"t\":1}", .absent),
      .saveOrganisation("acme", json: "{\"o\":1}", .absent),
      .saveKey("k2", mac: [0, 255], json: "{\"k\":2}", .absent),
      .saveKey("k1", mac: [1], json: "{\"k\":1}", .absent),
      .saveSetting("s", json: "1", .any), .appendPrice(json: "{\"p\":1}"),
      .appendPrice(json: "{\"p\":2}"),
    ]
    let outcome = try await store.apply(changes, by: Self.author)
    #expect(outcome == .applied((1...7).map { RecordRevision($0) }))
    let conflict = try await store.apply(
      [
        .saveSetting("s", json: "2", .revision(RecordRevision(5))),
        .saveKey("k1", mac: [2], json: "{}", .absent),
      ], by: Self.author)
    #expect(conflict == .conflict(change: 1, current: RecordRevision(4)))
    let removed = try await store.apply(
      [.remove(.key("k2"), .revision(RecordRevision(3)))], by: Self.author)
    #expect(removed == .applied([RecordRevision(8)]))
    await store.close()

    let again = try await place.open()
    #expect(
      try await again.accounts().map(\.subject)
        == [.organisation("acme"), .team("blue", organisation: "acme")])
    #expect(
      try await again.keys(after: nil, limit: 10)
        == [StoredKey(id: "k1", mac: [1], json: "{\"k\":1}", revision: RecordRevision(4))])
    #expect(try await again.keys(after: "k1", limit: 10).isEmpty)
    #expect(try await again.settings().map(\.json) == ["1"])
    #expect(try await again.prices(after: 1, limit: 10).map(\.json) == ["{\"p\":2}"])
    let audit = try await again.audit(AuditQuery(limit: 2))
    #expect(audit.map(\.position) == [8, 7])
    #expect(audit.first?.before == "{\"k\":2}")
    #expect(audit.first?.after == nil)
    #expect(audit.first?.author == Self.author)
    #expect(
      try await again.audit(AuditQuery(kind: "team")).map(\.id) == ["acme/blue"])
    let pages: [(AuditQuery, [Int64])] = [
      (AuditQuery(id: "k2", limit: 1), [8]), (AuditQuery(id: "k2", before: 8), [3]),
      (AuditQuery(kind: "key", before: 4), [3]), (AuditQuery(kind: "key", id: "s"), []),
      (AuditQuery(kind: "price", before: 7, limit: 1), [6]), (AuditQuery(before: 3), [2, 1]),
    ]
    for (query, positions) in pages {
      #expect(try await again.audit(query).map(\.position) == positions, "\(query)")
    }
    await again.close()
  }

  @Test("models and the changes of hosts survive a restart", arguments: AccountPlace.Kind.allCases)
  func models(kind: AccountPlace.Kind) async throws {
    let place = try AccountPlace(kind)
    let store = try await place.open()
    _ = try await store.apply(
      [
        .saveModel("org/b", json: "{\"b\":1}", .absent), .saveModel("a", json: "{}", .absent),
        .saveModel("c", json: "{}", .any),
      ], by: Self.author)
    try await store.recordChange(
      ofHost: "gpu", before: nil, after: "{\"h\":1}", by: Self.author)
    await store.close()

    let again = try await place.open()
    _ = try await again.apply([.remove(.model("c"), .any)], by: Self.author)
    let models = try await again.models()
    #expect(models.map(\.subject) == [.model("a"), .model("org/b")])
    #expect(models.map(\.json) == ["{}", "{\"b\":1}"])
    let hosts = try await again.audit(AuditQuery(kind: "host"))
    #expect(hosts.map(\.id) == ["gpu"])
    #expect(hosts.map(\.before) == [nil])
    #expect(hosts.map(\.after) == ["{\"h\":1}"])
    #expect(hosts.map(\.author) == [Self.author])
    let removed = try await again.audit(AuditQuery(kind: "model", limit: 1))
    #expect(removed.map(\.id) == ["c"])
    #expect(removed.map(\.before) == ["{}"])
    #expect(try await again.audit(AuditQuery(limit: 9)).map(\.position) == [5, 4, 3, 2, 1])
    let large = String(repeating: "x", count: Limits.recordBytes.value + 1)
    await #expect(throws: Failure.self) {
      try await again.recordChange(ofHost: "gpu", before: large, after: nil, by: Self.author)
    }
    await again.close()
  }

  @Test("a large batch is one append, and is read in pages", arguments: AccountPlace.Kind.allCases)
  func largeBatch(kind: AccountPlace.Kind) async throws {
    let count = Limits.ledgerPage.value + 500
    let store = try await AccountPlace(kind).open()
    _ = try await store.append((0..<count).map { try transfer("t\($0)", 1) })
    _ = try await store.append([transfer("last", 1)])
    let rows = try await everything(store)
    #expect(rows.map(\.position) == (1...Int64(count + 1)).map(\.self))
    #expect(rows.last?.transaction.id == "last")
    await store.close()
  }

  @Test("the latest two checkpoints survive a restart", arguments: AccountPlace.Kind.allCases)
  func checkpoints(kind: AccountPlace.Kind) async throws {
    func checkpoint(_ position: Int64) -> LedgerCheckpoint {
      LedgerCheckpoint(position: position, json: "{\"n\":\"ü\(position)\"}", ids: [0, 255, 7])
    }
    let place = try AccountPlace(kind)
    let store = try await place.open()
    #expect(try await store.checkpoint(before: nil) == nil)
    for position in [3, 5, 8] { try await store.save(checkpoint(Int64(position))) }
    try await store.save(checkpoint(8))
    await store.close()
    let again = try await place.open()
    #expect(try await again.checkpoint(before: nil) == .intact(checkpoint(8)))
    #expect(try await again.checkpoint(before: 8) == .intact(checkpoint(5)))
    #expect(try await again.checkpoint(before: 5) == nil)
    try await again.removeCheckpoint(at: 8)
    #expect(try await again.checkpoint(before: nil) == .intact(checkpoint(5)))
    await again.close()
  }
}

@Suite("Accounts in MongoDB", .mongoServer, .timeLimit(.minutes(5)))
struct MongoAccountStoreTests {
  private func failure(_ body: () async throws -> Void) async -> Failure? {
    do {
      try await body()
      return nil
    } catch {
      return error as? Failure
    }
  }

  @Test("a store that was opened later makes the earlier one stop, and nothing is written twice")
  func twoWriters() async throws {
    let uri = try MongoServer.freshDatabase()
    let first = try await MongoAccountStore(uri: uri, owner: "registry#1")
    _ = try await first.append([transfer("a", 1)])
    let second = try await MongoAccountStore(uri: uri, owner: "registry#2")
    let author = ChangeAuthor(name: "ann", time: 1)
    let refused = [
      await failure { _ = try await first.append([transfer("b", 1)]) },
      await failure {
        _ = try await first.apply([.saveSetting("s", json: "1", .any)], by: author)
      },
      await failure {
        try await first.save(LedgerCheckpoint(position: 1, json: "{}", ids: []))
      },
      await failure {
        try await first.recordChange(ofHost: "gpu", before: nil, after: "{}", by: author)
      },
      await failure { try await first.checkWriter() },
    ]
    for failure in refused {
      #expect(failure?.code == .storeTaken)
      #expect(failure?.message.contains("registry#2") == true)
    }
    try await second.checkWriter()
    #expect(try await second.append([transfer("c", 1)]) == [.appended(position: 2)])
    #expect(try await second.settings().isEmpty)
    #expect(try await second.checkpoint(before: nil) == nil)
    // The earlier store may still read.
    #expect(
      try await first.transactions(after: 0, limit: 9).map(\.transaction.id) == ["a", "c"])
  }

  @Test("a server that is away is a clear error without the password")
  func unreachable() async throws {
    let failure = try #require(
      await failure {
        _ = try await MongoAccountStore(
          uri: "mongodb://me:hunter2@127.0.0.1:1/t", owner: "test", patience: .milliseconds(200))
      })
    #expect(failure.code == .storeUnreachable)
    #expect(failure.message.contains("TUTTI_REGISTRY_MONGODB_URI"))
    #expect(!failure.message.contains("hunter2"))
  }

  @Test("a write whose answer was lost is found, and not made again")
  func lostAnswer() async throws {
    let proxy = try await CuttingProxy(to: try #require(MongoServer.current).port)
    let store = try await open(proxy)
    proxy.setMode(.loseAnswersOfInserts)
    #expect(try await store.append([transfer("a", 1)]) == [.appended(position: 1)])
    let author = ChangeAuthor(name: "ann", time: 1)
    let change = RecordChange.saveModel("m", json: "{}", .absent)
    #expect(try await store.apply([change], by: author) == .applied([RecordRevision(1)]))
    #expect(try await store.audit(AuditQuery()).count == 1)
    #expect(try await store.append([transfer("a", 1)]) == [.alreadyPresent(position: 1)])
    proxy.setMode(.pass)
    #expect(try await store.append([transfer("b", 1)]) == [.appended(position: 2)])
    try await proxy.close()
  }

  @Test("a write that never reached the server leaves nothing, and can be made again")
  func lostRequest() async throws {
    let proxy = try await CuttingProxy(to: try #require(MongoServer.current).port)
    let store = try await open(proxy)
    _ = try await store.append([transfer("a", 1)])
    proxy.setMode(.loseInserts)
    let author = ChangeAuthor(name: "ann", time: 1)
    let change = RecordChange.saveSetting("s", json: "1", .absent)
    let append = await failure { _ = try await store.append([transfer("b", 1)]) }
    #expect(append?.code == .storeUnreachable)
    let apply = await failure { _ = try await store.apply([change], by: author) }
    #expect(apply?.code == .storeUnreachable)
    proxy.setMode(.pass)
    #expect(try await store.transactions(after: 0, limit: 9).map(\.transaction.id) == ["a"])
    #expect(try await store.append([transfer("b", 1)]) == [.appended(position: 2)])
    #expect(try await store.apply([change], by: author) == .applied([RecordRevision(1)]))
    try await proxy.close()
  }

  private func open(_ proxy: CuttingProxy) async throws -> MongoAccountStore {
    let uri = try MongoServer.freshDatabase()
    let database = uri.split(separator: "/").last ?? "t"
    return try await MongoAccountStore(
      uri: "mongodb://127.0.0.1:\(proxy.port)/\(database)?retryWrites=false", owner: "test")
  }
}
