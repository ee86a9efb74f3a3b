import Access
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Money
import RegistryCore
import Store
import Testing

@testable import RegistryService

@Suite("Removal of accounts in the admin API")
struct AccountRemovalAPITests {
  private static let acme = "/organisations/acme"
  private static let web = "/organisations/acme/teams/web"

  private static func make(_ registry: TestRegistry) async throws {
    let made = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
    #expect(made.status == 201, "\(made)")
  }

  private static func transfer(
    _ registry: TestRegistry, _ kind: String, id: String
  ) async throws {
    let moved = try await registry.send(
      .post, "/transfers",
      #"{"id": "\#(id)", "kind": "\#(kind)", "organisation": "acme", "amount": "5"}"#)
    #expect(moved.status == 201, "\(moved)")
  }

  @Test("an account is removed after its keys and teams, with its ETag, and is in the audit log")
  func removal() async throws {
    try await TestRegistry.run { registry in
      try await Self.make(registry)
      let team = try await registry.send(.post, "/teams", #"{"id": "acme/web"}"#)
      let key = try await registry.send(.post, "/keys", #"{"name": "k", "account": "acme/web"}"#)
      let id = try #require(key.text.firstMatch(of: /"id":"([a-z2-7]+)"/)).1
      _ = try await registry.send(.post, "/keys/\(id)/disable")
      for path in [Self.web, Self.acme] {
        let refused = try await registry.send(.delete, path)
        #expect(refused.status == 409, "\(refused)")
        #expect(refused.text.contains(#""code":"account_in_use""#), "\(refused)")
        #expect(refused.text.contains("tutti-\(id)"), "\(refused)")
        #expect(refused.text.contains("1 team (acme/web)") == (path == Self.acme), "\(refused)")
      }
      _ = try await registry.send(.delete, "/keys/\(id)")
      let stale = try await registry.send(.delete, Self.web, ifMatch: "\"999\"")
      #expect(stale.status == 412, "\(stale)")
      let removed = try await registry.send(.delete, Self.web, ifMatch: team.tag)
      #expect(removed.status == 200)
      #expect(removed.text == #"{"deleted":true,"id":"acme/web","object":"team"}"#)
      #expect(try await registry.send(.get, Self.web).status == 404)
      #expect(try await registry.send(.delete, Self.acme).status == 200)
      #expect(try await registry.send(.get, "/organisations").text.contains(#""data":[]"#))
      for path in [Self.acme, Self.web] {
        #expect(try await registry.send(.delete, path).status == 404)
        #expect(try await registry.send(.patch, path, #"{"name": "x"}"#).status == 404)
      }
      let records = try await registry.accounts.audit(AuditQuery(action: .remove))
      #expect(records.map(\.kind) == ["organisation", "team"])
      #expect(records.map(\.id) == ["acme", "acme/web"])
      #expect(records.allSatisfy { $0.author.name == "admin-token" && $0.before != nil })
      // Neither account has entries in the ledger, so both ids are free.
      try await Self.make(registry)
      #expect(try await registry.send(.post, "/teams", #"{"id": "acme/web"}"#).status == 201)
    }
  }

  @Test("the id of a removed organisation with ledger entries is not used again, nor by a key")
  func usedID() async throws {
    let scratch = try TestRegistry.Scratch()
    try await TestRegistry.run(in: scratch) { registry in
      try await Self.make(registry)
      try await Self.transfer(registry, "credit", id: "1")
      let refused = try await registry.send(.delete, Self.acme)
      #expect(refused.status == 409 && refused.text.contains("its balance is 5 credits"))
      try await Self.transfer(registry, "debit", id: "2")
      #expect(try await registry.send(.delete, Self.acme).status == 200)
    }
    // The registry knows it also after a restart.
    try await TestRegistry.run(in: scratch) { registry in
      let again = try await registry.send(.post, "/organisations", #"{"id": "acme"}"#)
      #expect(again.status == 409 && again.text.contains("choose another id"), "\(again)")
      #expect(again.text.contains(#""param":"id""#), "\(again)")
      #expect(try await registry.send(.post, "/organisations", #"{"id": "acme2"}"#).status == 201)
      let entries = try await registry.send(.get, "/ledger?account=org%2Facme").text
      #expect(entries.contains("admin/1") && entries.contains("admin/2"))
      for account in ["acme", "acme/web"] {
        let key = try await registry.send(
          .post, "/keys", #"{"name": "k", "account": "\#(account)"}"#)
        #expect(key.status == 400 && key.text.contains(#""param":"account""#), "\(key)")
      }
      let made = try await registry.send(.post, "/keys", #"{"name": "k"}"#)
      let id = try #require(made.text.firstMatch(of: /"id":"([a-z2-7]+)"/)).1
      let moved = try await registry.send(.patch, "/keys/\(id)", #"{"account": "acme"}"#)
      #expect(moved.status == 400, "\(moved)")
      #expect(try await registry.send(.patch, "/keys/\(id)", #"{"name": "l"}"#).status == 200)
      #expect(
        try await registry.send(.patch, "/keys/\(id)", #"{"account": "never-made"}"#).status == 200)
    }
  }

  @Test("the default organisation stays")
  func standard() async throws {
    try await TestRegistry.run { registry in
      _ = try await registry.send(.post, "/organisations", #"{"id": "default"}"#)
      let refused = try await registry.send(.delete, "/organisations/default")
      #expect(refused.status == 409 && refused.text.contains("without an account"), "\(refused)")
      #expect(try await registry.send(.delete, "/organisations/Not%20an%20id").status == 404)
    }
  }
}

@Suite("Removal of an account with open holds")
struct AccountHoldTests: AccountShellSuite {
  @Test("the refusal has a code of its own, and a removal that fails changes nothing")
  func holds() async throws {
    let scratch = try Scratch()
    let store = FailingStore(try AccountStore(path: scratch.path))
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    shell.receive(ask(1, 100))
    _ = await shell.processInbox()
    let acme = try #require(AccountPath("acme"))
    let remove: @Sendable () async throws -> Void = {
      _ = try await shell.change(
        .removeAccount(acme, keys: []), expecting: .any, by: Self.author)
    }
    let error = await #expect(throws: AccountShell.OrderError.self) {
      try await process(shell) { try await remove() }
    }
    let failure = AdminFailure(try #require(error), isNew: false)
    #expect(failure.failure.code == .holdsOpen && failure.response.status == .conflict)
    shell.receive(
      .lease(
        .giveBack(LeaseReturn(lease: lease, returned: MicroCredits(100))), from: Self.gateway))
    _ = await shell.processInbox()
    store.loseAnswers()
    await #expect(throws: AccountShell.OrderError.self) {
      try await process(shell) { try await remove() }
    }
    // The lost change was stored, and the book was read again.
    #expect(shell.read { $0.organisation("acme") } == nil)
    #expect(shell.revision(of: .organisation("acme")) == nil)
    await store.close()
  }

  @Test("no key gets a removed account, even if the book does not know of the removal yet")
  func lostRemoval() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path)
    let shell = try await shell(store, Outbox())
    try await setUp(shell)
    let web = try #require(AccountPath("acme/web"))
    try await shell.checkAccount(ofKey: web)
    // The answer of this removal is lost, and the book has not been read again.
    _ = try await store.apply([.remove(.organisation("acme"), .any)], by: Self.author)
    #expect(shell.read { $0.organisation("acme") } != nil)
    let failure = await #expect(throws: Failure.self) {
      try await shell.checkAccount(ofKey: web)
    }
    #expect(failure?.code == .invalidRequest && failure?.param == "account")
    await store.close()
  }
}
