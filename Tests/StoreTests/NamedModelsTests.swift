import ClusterModel
import ClusterTesting
import Foundation
import Store
import Testing

@Suite("Hosts with models that an admin named")
struct NamedModelsTests {
  @Test("the names and the place of the API survive a restart, and an older row has neither")
  func kept() async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "registry.sqlite").path
    let named = HostRecord(
      Host(id: "a", url: "http://a/v4"), omitsV1: true, models: ["m", "org/n:1"])
    let plain = HostRecord(Host(id: "b", url: "http://b"))
    let store = try HostStore(path: path)
    try await store.save(named)
    try await store.save(plain)
    await store.close()
    #expect(try await HostStore(path: path).hosts() == [named, plain])
  }
}
