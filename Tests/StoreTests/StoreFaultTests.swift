import ClusterModel
import Foundation
import GRDB
import Testing

@testable import Store

@Suite("A store that cannot work says why")
struct StoreFaultTests {
  private func failure(_ body: () async throws -> Void) async -> Failure? {
    do {
      try await body()
      return nil
    } catch {
      return error as? Failure
    }
  }

  @Test(
    "MongoDB that is not there is named, with what to do, and without the password",
    .timeLimit(.minutes(5)))
  func unreachable() async throws {
    // No process listens on port 1.
    let store = try MongoLogStore(
      uri: "mongodb://me:hunter2@127.0.0.1:1/logs", patience: .milliseconds(200))
    let failure = try #require(await failure { try await store.prepare() })
    #expect(failure.code == .storeUnreachable)
    #expect(failure.message.contains("127.0.0.1:1"))
    #expect(failure.message.contains("TUTTI_MONGODB_URI"))
    #expect(!failure.message.contains("hunter2"))
    let log = LogRecord(timeUnixMicroseconds: 1, level: "info", service: "s", message: "m")
    let append = await self.failure {
      try await store.append([TelemetryBatch(service: "s", instance: "s", logs: [log])])
    }
    #expect(append?.code == .storeUnreachable)
  }

  @Test("an address that is none is refused without being quoted")
  func address() async throws {
    let failure = try #require(
      await failure { _ = try MongoLogStore(uri: "mango://me:hunter2@host") })
    #expect(failure.code == .storeMisconfigured)
    #expect(!failure.message.contains("hunter2"))
  }

  @Test("a full disk has a code of its own, and the error names the file")
  func fullDisk() {
    let cases: [(DatabaseError, Failure.Code)] = [
      (DatabaseError(resultCode: .SQLITE_FULL), .storeFull),
      (DatabaseError(resultCode: .SQLITE_ERROR), .storeFailed),
    ]
    for (error, code) in cases {
      let failure = SQLiteFile.failure(error, path: "/data/a.sqlite")
      #expect(failure.code == code && failure.message.contains("/data/a.sqlite"))
    }
  }

  @Test("a damaged file is refused and left as it is", arguments: ["logs", "hosts"])
  func damaged(_ kind: String) async throws {
    let scratch = try Scratch()
    let path = scratch.path("damaged.sqlite")
    let bytes = Data((0..<8_192).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    try bytes.write(to: URL(fileURLWithPath: path))
    let failure = try #require(await failure { try open(kind, path) })
    #expect(failure.code == .storeDamaged)
    #expect(failure.message.contains(path))
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
  }

  @Test("a hosts file damaged in the middle is found at the start")
  func damagedInside() async throws {
    let scratch = try Scratch()
    let path = scratch.path("hosts.sqlite")
    let store = try HostStore(path: path)
    for index in 0..<400 {
      try await store.save(
        HostRecord(Host(id: HostID("host-\(index)"), url: "http://10.0.0.1:\(index + 1)")))
    }
    await store.close()
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(bytes.count > 16_384)
    bytes.replaceSubrange(8_192..<12_288, with: Data(repeating: 0xA5, count: 4_096))
    try bytes.write(to: URL(fileURLWithPath: path))
    let failure = try #require(await failure { _ = try HostStore(path: path) })
    #expect(failure.code == .storeDamaged)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
  }

  private func open(_ kind: String, _ path: String) throws {
    if kind == "logs" { _ = try SQLiteLogStore(path: path) } else { _ = try HostStore(path: path) }
  }

  @Test("a file with migrations of a newer version is refused and keeps its rows")
  func tooNew() async throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let hosts = try HostStore(path: path)
    try await hosts.save(HostRecord(Host(id: "a", url: "http://a")))
    await hosts.close()
    // The file has the host store's migrations, which the log store takes for newer ones.
    let failure = try #require(await failure { _ = try SQLiteLogStore(path: path) })
    #expect(failure.code == .storeTooNew)
    #expect(failure.message.contains(path))
    #expect(try await HostStore(path: path).hosts().map(\.host.id) == ["a"])
  }

  @Test("a directory that is missing is named")
  func missingDirectory() async throws {
    let scratch = try Scratch()
    let path = scratch.path("not/there.sqlite")
    let failure = try #require(await failure { _ = try SQLiteLogStore(path: path) })
    #expect(failure.code == .storeUnreachable)
    #expect(failure.message.contains(path))
  }

  @Test("a path of 200 characters works, and the file is for its owner only")
  func longPath() async throws {
    let scratch = try Scratch()
    let path = scratch.path(String(repeating: "x", count: 200))
    _ = try SQLiteLogStore(path: path)
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }
}

@Suite("The registry's hosts on disk")
struct HostStoreTests {
  @Test("come back in their order, as an admin set them, without what was only reported")
  func survive() async throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let first = Host(
      id: "b", url: "http://127.0.0.1:1", dialect: .ollama, credential: "file:/run/key",
      tier: .fallback, trust: .local, state: .ready, reason: "", models: [ModelOffer(id: "m")],
      slots: 4, version: "9", probeMilliseconds: 3,
      price: HostPrice(input: 150_000, output: HostPrice.highest))
    let second = Host(id: "a", url: "https://x.example/api", state: .suspended)
    let store = try HostStore(path: path)
    try await store.save(HostRecord(first, dialect: .ollama, resume: .instruct))
    try await store.save(HostRecord(second))
    try await store.save(HostRecord(Host(id: "c", url: "http://c")))
    try await store.remove("c")
    try await store.remove("never there")
    await store.close()

    let hosts = try await HostStore(path: path).hosts()
    #expect(hosts.map(\.host.id) == ["b", "a"])
    let kept = Host(
      id: "b", url: "http://127.0.0.1:1", dialect: .ollama, credential: "file:/run/key",
      tier: .fallback, trust: .local, slots: 4, price: first.price)
    #expect(hosts.first == HostRecord(kept, dialect: .ollama, resume: .instruct))
    #expect(hosts.last?.host.state == .suspended)
    #expect(hosts.last?.dialect == nil && hosts.last?.resume == nil)
  }

  @Test("hosts that an older version kept are still there, their dialect to be learned")
  func olderVersion() async throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let store = try HostStore(path: path)
    try await store.save(HostRecord(Host(id: "a", url: "http://a", trust: .local, slots: 3)))
    await store.close()
    // Restores the schema of the version before dialects.
    let file = try DatabaseQueue(path: path)
    try await file.write { database in
      try database.execute(
        sql: """
          ALTER TABLE hosts DROP COLUMN resume;
          ALTER TABLE hosts DROP COLUMN credential;
          UPDATE hosts SET dialect = 'openai';
          DELETE FROM grdb_migrations WHERE identifier = '2: dialects';
          """)
    }
    try file.close()
    let hosts = try await HostStore(path: path).hosts()
    #expect(hosts == [HostRecord(Host(id: "a", url: "http://a", trust: .local, slots: 3))])
  }

  @Test("the price of an older version holds for prompts and answers, and 0 is not stated")
  func olderPrices() async throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let store = try HostStore(path: path)
    for id in ["free", "paid", "absurd"] {
      try await store.save(HostRecord(Host(id: HostID(id), url: "http://\(id)")))
    }
    await store.close()
    // Restores the schema of the version before prices of prompts and answers.
    let file = try DatabaseQueue(path: path)
    try await file.write { database in
      try database.execute(
        sql: """
          ALTER TABLE hosts DROP COLUMN price_input;
          ALTER TABLE hosts DROP COLUMN price_output;
          ALTER TABLE hosts ADD COLUMN price INTEGER NOT NULL DEFAULT 0;
          UPDATE hosts SET price = 600 WHERE id = 'paid';
          UPDATE hosts SET price = 9223372036854775807 WHERE id = 'absurd';
          DELETE FROM grdb_migrations WHERE identifier = '6: prices of prompts and answers';
          """)
    }
    try file.close()
    let hosts = try await HostStore(path: path).hosts()
    #expect(
      hosts.map(\.host.price) == [
        nil, HostPrice(input: 600_000_000, output: 600_000_000),
        HostPrice(input: HostPrice.highest, output: HostPrice.highest),
      ])
  }

  @Test("a price that is not allowed is named and not guessed", arguments: ["NULL", "-1", "1e18"])
  func wrongPrice(_ value: String) async throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let store = try HostStore(path: path)
    try await store.save(HostRecord(Host(id: "a", url: "http://a", price: .free)))
    await store.close()
    let file = try DatabaseQueue(path: path)
    try await file.write { database in
      try database.execute(sql: "UPDATE hosts SET price_input = CAST(\(value) AS INTEGER)")
    }
    try file.close()
    let again = try HostStore(path: path)
    let failure = await #expect(throws: Failure.self) { try await again.hosts() }
    #expect(failure?.code == .storeDamaged)
    #expect(failure?.message.contains("Host a has a price") == true)
  }

  @Test("a later save replaces the earlier one in its place")
  func replace() async throws {
    let scratch = try Scratch()
    let store = try HostStore(path: scratch.path("registry.sqlite"))
    try await store.save(HostRecord(Host(id: "a", url: "http://a")))
    try await store.save(HostRecord(Host(id: "b", url: "http://b")))
    try await store.save(
      HostRecord(Host(id: "a", url: "http://a", trust: .trusted, state: .suspended)))
    let hosts = try await store.hosts()
    #expect(hosts.map(\.host.id) == ["a", "b"])
    #expect(hosts[0].host.trust == .trusted)
    #expect(hosts[0].host.state == .suspended)
  }
}
