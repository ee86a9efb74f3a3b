import Access
import ClusterModel
import RegistryCore
import Testing

private func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
    return nil
  } catch {
    return error as? Failure
  }
}

@Suite("The registry's keys")
struct KeyRegistryTests {
  private static let pepper = KeyPepper(100..<132)
  private static let now: WallMilliseconds = 1_000_000

  private let pepper: KeyPepper
  private var keys = KeyRegistry()
  private var lastRevision: Int64 = 0

  init() throws { pepper = try #require(Self.pepper) }

  /// Bytes in place of the system's random bytes.
  private static func random(_ number: UInt8) -> [UInt8] {
    Array(repeating: number, count: APIKey.randomByteCount)
  }

  /// Applies a change as if it had been stored.
  @discardableResult
  private mutating func apply(_ change: KeyChange) -> KeyChange {
    let revisions = change.saved.map { _ in
      lastRevision += 1
      return lastRevision
    }
    keys.apply(change, revisions: revisions)
    return change
  }

  private mutating func create(
    _ number: UInt8, _ settings: KeyPatch = KeyPatch(name: "laptop")
  ) throws -> APIKey {
    let change = try keys.create(
      settings, random: Self.random(number), pepper: pepper, at: Self.now)
    return try #require(apply(change).key)
  }

  /// A gateway's decision about the key.
  private func decision(
    _ key: APIKey, at now: WallMilliseconds = Self.now
  ) -> AccessRefusal.Reason? {
    AccessTable(
      version: AccessTableVersion(epoch: 1, revision: 1), isOpen: keys.isOpen, pepper: pepper,
      records: keys.records
    ).check(.key(key), for: AccessNeed(), at: now).refusal?.reason
  }

  @Test("a new key is accepted, and has the default account and scopes")
  mutating func create() throws {
    #expect(keys.isOpen)
    let key = try create(1)
    #expect(!keys.isOpen)
    let record = try #require(keys[key.id]).record
    #expect(record.name == "laptop" && record.account.description == "default")
    #expect(record.scopes == [.chat, .embeddings, .plans])
    #expect(record.hash == KeyHash(of: key, pepper: pepper))
    #expect(decision(key) == nil)
  }

  @Test("a planned change has no effect until it is applied")
  func plan() throws {
    _ = try keys.create(
      KeyPatch(name: "laptop"), random: Self.random(1), pepper: pepper, at: Self.now)
    #expect(keys.isOpen && keys.count == 0)
  }

  @Test("the cluster does not open again after the last key is revoked, nor after a restart")
  mutating func neverOpens() throws {
    let key = try create(1)
    apply(try keys.revoke(key.id))
    #expect(!keys.isOpen && decision(key) == .revoked)
    let entries = keys.page(after: nil, limit: 10).entries
    #expect(entries.map(\.record.state) == [.revoked])
    #expect(!KeyRegistry(restored: entries).isOpen)
  }

  @Test(
    "a member that is not valid is refused with its name",
    arguments: [
      (KeyPatch(), "name"), (KeyPatch(name: ""), "name"), (KeyPatch(name: "a\nb"), "name"),
      (KeyPatch(name: String(repeating: "n", count: 257)), "name"),
      (KeyPatch(name: "a", scopes: []), "scopes"),
      (KeyPatch(name: "a", limits: [.tokensPerDay: 0]), "limits"),
      (KeyPatch(name: "a", limits: [.concurrentRequests: -1]), "limits"),
      (KeyPatch(name: "a", models: [ModelID("")]), "permissions"),
      (KeyPatch(name: "a", hostPools: Set((0..<257).map { "pool\($0)" })), "permissions"),
      (
        KeyPatch(
          name: "a",
          models: Set((0..<250).map { ModelID("\($0)" + String(repeating: "m", count: 99)) })
        ), "permissions"
      ),
      (KeyPatch(name: "a", expiry: .at(1_000_000)), "expires_at_ms"),
      (KeyPatch(name: "a", expiry: .at(-5)), "expires_at_ms"),
      (KeyPatch(name: "a", expiry: .at(.max)), "expires_at_ms"),
    ])
  func invalid(settings: KeyPatch, param: String) throws {
    let failure = try #require(
      failure {
        _ = try keys.create(settings, random: Self.random(1), pepper: pepper, at: Self.now)
      })
    #expect(failure.code == .invalidRequest && failure.param == param, "\(failure)")
  }

  @Test("a change keeps the members that it does not name")
  mutating func patch() throws {
    let key = try create(
      1,
      KeyPatch(
        name: "laptop", account: AccountPath("acme/research"), models: [ModelID("a")],
        patterns: [.auto], limits: [.requestsPerMinute: 5, .tokensPerDay: 7],
        expiry: .at(Self.now + 1)))
    apply(
      try keys.patch(
        key.id, KeyPatch(models: [], limits: [.requestsPerMinute: nil], expiry: .never),
        at: Self.now))
    let record = try #require(keys[key.id]).record
    #expect(record.name == "laptop" && record.account.description == "acme/research")
    #expect(record.permissions == KeyPermissions(patterns: [.auto]))
    #expect(record.limits == KeyLimits(tokensPerDay: 7))
    #expect(record.expiresAt == nil)
  }

  @Test("a change without effect saves nothing")
  mutating func noChange() throws {
    let key = try create(1)
    #expect(try keys.patch(key.id, KeyPatch(name: "laptop"), at: Self.now).saved == [])
    #expect(try keys.set(.active, of: key.id).saved == [])
    apply(try keys.revoke(key.id))
    #expect(try keys.revoke(key.id).saved == [])
  }

  @Test("a change that expects another revision is refused and names the current one")
  mutating func conflict() throws {
    let key = try create(1)
    apply(try keys.patch(key.id, KeyPatch(name: "tower"), expected: [1], at: Self.now))
    for expected in [Set<Int64>([1]), []] {
      let failure = failure {
        _ = try keys.patch(key.id, KeyPatch(name: "late"), expected: expected, at: Self.now)
      }
      #expect(failure?.code == .conflict && failure?.message.contains("\"2\"") == true)
    }
    #expect(keys[key.id]?.record.name == "tower")
  }

  @Test("a rotated key is valid together with the new one until its grace period ends")
  mutating func rotate() throws {
    let old = try create(1, KeyPatch(name: "laptop", limits: [.requestsPerDay: 9]))
    let change = apply(
      try keys.rotate(
        old.id, grace: 500, random: Self.random(2), pepper: pepper, at: Self.now))
    let new = try #require(change.key)
    #expect(change.subject == new.id)
    let record = try #require(keys[new.id]).record
    #expect(record.name == "laptop" && record.limits == KeyLimits(requestsPerDay: 9))
    #expect(record.replaces == old.id)
    #expect(decision(old) == nil && decision(new) == nil)
    #expect(decision(old, at: Self.now + 500) == .replaced)
    #expect(decision(new, at: Self.now + 500) == nil)
    let failure = failure {
      _ = try keys.rotate(
        old.id, grace: 0, random: Self.random(3), pepper: pepper, at: Self.now)
    }
    #expect(failure?.code == .keyEnded && failure?.message.contains("\(new.id)") == true)
  }

  @Test(
    "a grace period that is negative or longer than a year is refused",
    arguments: [WallMilliseconds.min, -1, 31_622_400_001, .max])
  mutating func grace(grace: WallMilliseconds) throws {
    let key = try create(1)
    let failure = failure {
      _ = try keys.rotate(
        key.id, grace: grace, random: Self.random(2), pepper: pepper, at: Self.now)
    }
    #expect(failure?.param == "grace_ms")
  }

  @Test("keys of an account have not ended until they are revoked, or their grace period is over")
  mutating func unended() throws {
    let acme = try #require(AccountPath("acme"))
    let web = try #require(AccountPath("acme/web"))
    let own = try create(1, KeyPatch(name: "own", account: acme))
    let old = try create(2, KeyPatch(name: "old", account: web))
    _ = try create(3)
    let new = try #require(
      apply(
        try keys.rotate(
          old.id, grace: 100, random: Self.random(4), pepper: pepper, at: Self.now)
      ).key)
    func ids(_ account: AccountPath, at now: WallMilliseconds) -> Set<KeyID> {
      Set(keys.unendedKeys(of: account, at: now).map(\.id))
    }
    #expect(ids(acme, at: Self.now) == [own.id, old.id, new.id])
    #expect(ids(web, at: Self.now) == [old.id, new.id])
    #expect(ids(web, at: Self.now + 100) == [new.id])
    apply(try keys.set(.disabled, of: own.id))
    #expect(ids(acme, at: Self.now + 100) == [own.id, new.id])
    apply(try keys.revoke(own.id))
    #expect(ids(acme, at: Self.now + 100) == [new.id])
  }

  @Test("a disabled key can be enabled, a revoked one never changes again")
  mutating func states() throws {
    let key = try create(1)
    apply(try keys.set(.disabled, of: key.id))
    #expect(decision(key) == .disabled)
    #expect(
      failure {
        _ = try keys.rotate(
          key.id, grace: 0, random: Self.random(2), pepper: pepper, at: Self.now)
      }?.code == .keyEnded)
    apply(try keys.set(.active, of: key.id))
    #expect(decision(key) == nil)
    apply(try keys.revoke(key.id))
    #expect(failure { _ = try keys.set(.active, of: key.id) }?.code == .keyEnded)
    #expect(
      failure { _ = try keys.patch(key.id, KeyPatch(name: "a"), at: Self.now) }?.code == .keyEnded)
  }

  @Test("a full table refuses a new key, unless a key that has ended makes room")
  mutating func full() throws {
    keys = KeyRegistry(capacity: 2)
    let first = try create(1)
    let second = try create(2)
    #expect(failure { _ = try create(3) }?.code == .overloaded)
    apply(try keys.revoke(second.id))
    let third = try create(3)
    #expect(keys.count == 2 && keys[second.id] == nil)
    apply(try keys.revoke(first.id))
    apply(try keys.revoke(third.id))
    // The key that was revoked first makes room.
    _ = try create(4)
    #expect(keys[first.id] == nil && keys[third.id] != nil)
  }

  @Test("pages list every key once, in the order of ids")
  mutating func pages() throws {
    for number in UInt8(1)...5 { _ = try create(number * 40) }
    var listed: [String] = []
    var hasMore = true
    while hasMore {
      let page = keys.page(after: listed.last, limit: 2)
      listed += page.entries.map(\.record.id.description)
      hasMore = page.hasMore
    }
    #expect(listed.count == 5 && listed == listed.sorted())
  }

  @Test("pages of an account's keys, or of keys in one state, leave out the others")
  mutating func filters() throws {
    let accounts = ["acme", "acme/web", "acme/web", "acme/lab", "acm", "acme2/web"]
    var ids: [String] = []
    for (number, account) in accounts.enumerated() {
      let path = try #require(AccountPath(account))
      ids.append("\(try create(UInt8(number), KeyPatch(name: "k", account: path)).id)")
    }
    let revoked = try #require(KeyID(ids[1]))
    apply(try keys.revoke(revoked))
    let registry = keys
    func listed(_ account: String?, _ state: KeyState? = nil) throws -> Set<String> {
      let path = try account.map { try #require(AccountPath($0)) }
      var found: [String] = []
      var hasMore = true
      while hasMore {
        let page = registry.page(
          after: found.last, limit: 2, matching: KeyFilter(account: path, state: state))
        found += page.entries.map(\.record.id.description)
        hasMore = page.hasMore
      }
      #expect(found == found.sorted())
      return Set(found)
    }
    #expect(try listed(nil) == Set(ids))
    #expect(try listed("acme") == Set(ids[0...3]))
    #expect(try listed("acme/web") == Set(ids[1...2]))
    #expect(try listed("acme/web", .active) == [ids[2]])
    #expect(try listed(nil, .revoked) == [ids[1]])
    #expect(try listed("none").isEmpty)
    #expect(try listed("acme", .disabled).isEmpty)
  }

  @Test("a key that is not known is refused with the way to list keys")
  func unknown() throws {
    let id = try #require(KeyID("aaaaaaaaaaaa"))
    let failure = failure { _ = try keys.revoke(id) }
    #expect(failure?.code == .keyNotFound && failure?.message.contains("tutti keys list") == true)
  }
}
