import ClusterModel
import GRDB
import Limits
import Store
import Testing

@Suite("Checkpoints on disk")
struct CheckpointStoreTests {
  private func checkpoint(_ position: Int64) -> LedgerCheckpoint {
    LedgerCheckpoint(position: position, json: "{\"n\":\"ü\(position)\"}", ids: [0, 255, 7])
  }

  private func edit(_ path: String, _ sql: String) throws {
    let file = try DatabaseQueue(path: path)
    defer { try? file.close() }
    try file.writeWithoutTransaction { try $0.execute(sql: sql) }
  }

  @Test("the latest two checkpoints survive a restart")
  func latestTwo() async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    var store = try AccountStore(path: path)
    #expect(try await store.checkpoint() == nil)
    for position in [3, 5, 8] { try await store.save(checkpoint(Int64(position))) }
    try await store.save(checkpoint(8))
    await store.close()
    store = try AccountStore(path: path)
    #expect(try await store.checkpoint() == .intact(checkpoint(8)))
    #expect(try await store.checkpoint(before: 8) == .intact(checkpoint(5)))
    #expect(try await store.checkpoint(before: 5) == nil)
    try await store.removeCheckpoint(at: 8)
    #expect(try await store.checkpoint() == .intact(checkpoint(5)))
    await store.close()
  }

  @Test("a checkpoint removes later ones, which belong to another ledger")
  func laterOnes() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    try await store.save(checkpoint(9))
    try await store.save(checkpoint(4))
    #expect(try await store.checkpoint() == .intact(checkpoint(4)))
    await store.close()
  }

  @Test(
    "a changed checkpoint is reported as damaged",
    arguments: [
      "json = json || ' '", "ids = x'00FF08'", "checksum = x'00'", "position = 6",
      "json = substr(json, 2), ids = x'7B00FF07'",
    ])
  func damaged(change: String) async throws {
    let scratch = try Scratch()
    let path = scratch.path("accounts.sqlite")
    let store = try AccountStore(path: path)
    try await store.save(checkpoint(5))
    try edit(path, "UPDATE checkpoints SET \(change)")
    let read = try #require(try await store.checkpoint())
    #expect(read == .damaged(position: read.position))
    await store.close()
  }

  @Test("a checkpoint above the limit is not written")
  func tooLarge() async throws {
    let scratch = try Scratch()
    let store = try AccountStore(path: scratch.path("accounts.sqlite"))
    let large = LedgerCheckpoint(
      position: 1, json: "{}", ids: Array(repeating: 0, count: Limits.checkpointBytes.value))
    await #expect(throws: Failure.self) { try await store.save(large) }
    #expect(try await store.checkpoint() == nil)
    await store.close()
  }
}
