import ClusterModel
import Foundation
import GRDB
import Store
import Testing

@Suite("Stored tags of hosts, and the audit log of hosts")
struct HostTagStoreTests {
  /// A folder that is removed at the end.
  private final class Scratch {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString).path

    init() throws {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
  }

  @Test("tags, region and the reason of a suspension survive a restart")
  func kept() async throws {
    let scratch = try Scratch()
    let path = scratch.folder + "/registry.sqlite"
    let drained = HostRecord(
      Host(
        id: "a", url: "http://a", state: .suspended, reason: "drained by an admin",
        tags: ["eu", "gpu"], region: "fra-1"), isDrained: true)
    let suspended = HostRecord(
      Host(id: "b", url: "http://b", state: .suspended, reason: "suspended by an admin"))
    let store = try HostStore(path: path)
    for record in [drained, suspended] { try await store.save(record) }
    await store.close()
    let again = try HostStore(path: path)
    #expect(try await again.hosts() == [drained, suspended])
    var plain = drained
    plain.host.tags = []
    plain.host.region = nil
    try await again.save(plain)
    #expect(try await again.hosts().first == plain)
  }

  @Test(
    "a stored tag or region that no admin can name is an error and not ignored",
    arguments: ["tags = 'GPU'", "region = 'a b'", "region = ''"])
  func damaged(change: String) async throws {
    let scratch = try Scratch()
    let path = scratch.folder + "/registry.sqlite"
    let store = try HostStore(path: path)
    try await store.save(HostRecord(Host(id: "a", url: "http://a", tags: ["gpu"])))
    await store.close()
    let file = try DatabaseQueue(path: path)
    try await file.write { try $0.execute(sql: "UPDATE hosts SET \(change)") }
    try file.close()
    let error = await #expect(throws: Failure.self) { try await HostStore(path: path).hosts() }
    #expect(error?.code == .storeDamaged && error?.message.contains("Host a") == true)
  }

  @Test("the audit log keeps each change of a host with its author")
  func audit() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.folder + "/accounts.sqlite")
    let ann = ChangeAuthor(name: "ann", time: 1)
    try await store.recordChange(ofHost: "a", before: nil, after: #"{"x":1}"#, by: ann)
    try await store.recordChange(ofHost: "a", before: #"{"x":1}"#, after: nil, by: ann)
    let records = try await store.audit(AuditQuery(kind: "host", id: "a"))
    #expect(records.map(\.after) == [nil, #"{"x":1}"#])
    #expect(records.allSatisfy { $0.author == ann })
    let long = String(repeating: "x", count: 300_000)
    await #expect(throws: Failure.self) {
      try await store.recordChange(ofHost: "a", before: nil, after: long, by: ann)
    }
    #expect(try await store.audit(AuditQuery(kind: "host")).count == 2)
  }
}
