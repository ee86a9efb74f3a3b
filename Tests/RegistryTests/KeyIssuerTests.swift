import Access
import ClusterModel
import Foundation
import Logging
import RegistryCore
import Store
import Synchronization
import Testing

@testable import RegistryService

/// A registry's keys in a data directory of their own, as its gateways see them.
private final class KeyCluster: Sendable {
  let directory: String
  /// A gateway's copy of the access table.
  private let feed = Mutex(AccessTableFeed())
  private let epoch = Mutex<UInt64>(0)

  init() throws {
    directory = NSTemporaryDirectory() + "/tutti-keys-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  var pepperFile: String { directory + "/key-pepper" }
  var storeFile: String { directory + "/accounts.sqlite" }
  var markerFile: String { directory + "/keys-required" }

  /// Removes the store with the keys, as after a loss or a change of the store.
  func loseStore() throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: directory)
    where name.hasPrefix("accounts.sqlite") {
      try FileManager.default.removeItem(atPath: directory + "/" + name)
    }
  }

  /// Starts a key issuer over the same files, and stops it after the body.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (KeyIssuer) async throws -> Value
  ) async throws -> Value {
    let epoch = epoch.withLock { epoch in
      epoch += 1
      return epoch
    }
    let issuer = try await KeyIssuer(
      store: try AccountStore(path: storeFile), dataDirectory: directory, epoch: epoch,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      publish: { [self] pages in
        feed.withLock { feed in for page in pages { _ = feed.received(page) } }
      })
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await issuer.run() }
      let result: Result<Value, any Error>
      do { result = .success(try await body(issuer)) } catch { result = .failure(error) }
      group.cancelAll()
      while await group.nextResult() != nil {}
      return try result.get()
    }
  }

  private func decision(_ key: APIKey) -> AccessDecision? {
    feed.withLock(\.table)?.check(.key(key), for: AccessNeed(), at: 0)
  }

  func allows(_ key: APIKey) -> Bool {
    if case .allowed? = decision(key) { true } else { false }
  }

  func refusal(of key: APIKey) -> AccessRefusal.Reason? { decision(key)?.refusal?.reason }

  var isOpen: Bool? { feed.withLock(\.table)?.isOpen }
}

extension KeyIssuer {
  fileprivate func create(_ name: String = "laptop") async throws -> APIKey {
    let issued = try await change(by: "admin-token") { keys, pepper, now throws(Failure) in
      try keys.create(
        KeyPatch(name: name), random: KeyPepper.random(APIKey.randomByteCount), pepper: pepper,
        at: now)
    }
    return try #require(issued.key)
  }

  fileprivate func revoke(_ id: KeyID) async throws(Failure) {
    _ = try await change(by: "key tutti-\(id)") { keys, _, _ throws(Failure) in
      try keys.revoke(id)
    }
  }
}

@Suite("Issuing keys")
struct KeyIssuerTests {
  @Test("a new key is published when its creation returns, and a revoked one is refused")
  func published() async throws {
    let cluster = try KeyCluster()
    try await cluster.run { issuer in
      #expect(cluster.isOpen == true)
      let key = try await issuer.create()
      #expect(cluster.isOpen == false)
      #expect(cluster.allows(key))
      try await issuer.revoke(key.id)
      #expect(cluster.refusal(of: key) == .revoked)
      #expect(cluster.isOpen == false)
    }
  }

  @Test("a process that checks no keys receives neither keys nor the pepper")
  func withoutKeys() async throws {
    let cluster = try KeyCluster()
    try await cluster.run { issuer in
      _ = try await issuer.create()
      let whole = issuer.pages
      #expect(KeyPublisher.pages(whole, for: .gateway) == whole)
      #expect(whole.map(\.records.count) == [1])
      for service in [ServiceName.planner, .dispatcher, .agent(.code), .other("node")] {
        let pages = KeyPublisher.pages(whole, for: service)
        #expect(pages.map(\.isOpen) == [false] && pages.map(\.version) == whole.map(\.version))
        #expect(pages.allSatisfy { $0.records.isEmpty && $0.pepper != whole[0].pepper })
      }
    }
  }

  @Test("keys survive a restart, and the cluster stays closed")
  func restart() async throws {
    let cluster = try KeyCluster()
    let key = try await cluster.run { try await $0.create() }
    try await cluster.run { issuer in
      #expect(issuer.entry(key.id)?.record.name == "laptop")
      #expect(cluster.allows(key))
      try await issuer.revoke(key.id)
    }
    try await cluster.run { issuer in
      #expect(cluster.isOpen == false && cluster.refusal(of: key) == .revoked)
    }
  }

  @Test("a cluster that has had keys requires them also with an empty store")
  func lostStore() async throws {
    let cluster = try KeyCluster()
    try await cluster.run { _ in
      #expect(cluster.isOpen == true)
      #expect(!FileManager.default.fileExists(atPath: cluster.markerFile))
    }
    let lost = try await cluster.run { try await $0.create() }
    try cluster.loseStore()
    try await cluster.run { issuer in
      #expect(issuer.page(after: nil, limit: 1).entries.isEmpty)
      #expect(cluster.isOpen == false && cluster.refusal(of: lost) == .unknown)
      let new = try await issuer.create()
      #expect(cluster.allows(new))
    }
    try cluster.loseStore()
    try FileManager.default.removeItem(atPath: cluster.markerFile)
    try await cluster.run { _ in #expect(cluster.isOpen == true) }
  }

  @Test("a registry whose store has keys marks its data directory at the start, too")
  func markedAtStart() async throws {
    let cluster = try KeyCluster()
    _ = try await cluster.run { try await $0.create() }
    try FileManager.default.removeItem(atPath: cluster.markerFile)
    try await cluster.run { _ in }
    let attributes = try FileManager.default.attributesOfItem(atPath: cluster.markerFile)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test("a marker that other users may read, as in a restored backup, closes the cluster")
  func readableMarker() async throws {
    let cluster = try KeyCluster()
    try Data().write(to: URL(filePath: cluster.markerFile))
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o644], ofItemAtPath: cluster.markerFile)
    try await cluster.run { issuer in
      #expect(cluster.isOpen == false)
      let key = try await issuer.create()
      #expect(cluster.allows(key))
    }
  }

  @Test("a registry with keys but without its pepper does not start and names the file")
  func missingPepper() async throws {
    let cluster = try KeyCluster()
    _ = try await cluster.run { try await $0.create() }
    let attributes = try FileManager.default.attributesOfItem(atPath: cluster.pepperFile)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    try FileManager.default.removeItem(atPath: cluster.pepperFile)
    let error = await #expect(throws: (any Error).self) { try await cluster.run { _ in } }
    #expect("\(String(describing: error))".contains(cluster.pepperFile))
    #expect(!FileManager.default.fileExists(atPath: cluster.pepperFile))
  }

  @Test("the audit log names the author of each change and contains neither key nor hash")
  func audit() async throws {
    let cluster = try KeyCluster()
    try await cluster.run { issuer in
      let key = try await issuer.create()
      try await issuer.revoke(key.id)
      let records = try await issuer.audit(AuditQuery(kind: "key", id: "\(key.id)")).records
      #expect(records.map(\.author.name) == ["key tutti-\(key.id)", "admin-token"])
      #expect(records.last?.before == nil && records.last?.after != nil)
      #expect(records.first?.before == records.last?.after)
      let text = records.flatMap { [$0.before, $0.after] }.compactMap(\.self).joined()
      #expect(text.contains("laptop") && !text.contains(key.revealed.suffix(43)))
      #expect(!text.contains("hash"))
    }
  }

  @Test("a change that another process anticipated in the store has no effect")
  func conflict() async throws {
    let cluster = try KeyCluster()
    try await cluster.run { issuer in
      let key = try await issuer.create()
      let other = try AccountStore(path: cluster.storeFile)
      _ = try await other.apply(
        [.remove(.key("\(key.id)"), .any)], by: ChangeAuthor(name: "other", time: 1))
      await other.close()
      await #expect(throws: Failure.self) { try await issuer.revoke(key.id) }
      #expect(issuer.entry(key.id)?.record.state == .active)
    }
  }

  @Test("changes that arrive together are made one after another, and none is lost")
  func concurrent() async throws {
    let cluster = try KeyCluster()
    try await cluster.run { issuer in
      let keys = try await withThrowingTaskGroup(of: APIKey.self) { group in
        for number in 0..<20 { group.addTask { try await issuer.create("key \(number)") } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(keys.map(\.id)).count == 20)
      #expect(issuer.page(after: nil, limit: 100).entries.count == 20)
      #expect(issuer.version.revision == 21)
    }
  }
}
