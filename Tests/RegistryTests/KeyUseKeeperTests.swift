import Access
import ClusterModel
import Foundation
import Logging
import RegistryCore
import Telemetry
import Testing

@testable import RegistryService

@Suite("The registry's file with the day's use of keys")
struct KeyUseKeeperTests {
  private let scratch: TestRegistry.Scratch
  private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  private let gateway = PeerID(name: "gateway é", incarnation: .max)
  private let use: DayUse

  init() throws {
    scratch = try TestRegistry.Scratch()
    let hour = HourlyUse.hour(of: UnixTime.milliseconds())
    use = DayUse(
      key: try #require(KeyID("abcdefghijkl")),
      hours: [
        HourlyUse(hour: hour - 1, requests: 1),
        HourlyUse(hour: hour, requests: 3, tokens: 1_000_000_000_000),
      ])
  }

  private var path: String { scratch.path + "/key-use.txt" }

  private func keeper(epoch: UInt64) -> KeyUseKeeper {
    KeyUseKeeper(path: path, epoch: epoch, logger: logger)
  }

  private func report(epoch: UInt64, _ uses: [DayUse]) -> KeyUseReport {
    let hour = HourlyUse.hour(of: UnixTime.milliseconds())
    return KeyUseReport(epoch: epoch, after: 0, hour: hour, uses: uses)
  }

  /// Use of which a gateway learns that knows nothing.
  private func known(_ keeper: KeyUseKeeper) -> [DayUse] {
    keeper.answer(
      report(epoch: 0, []), from: PeerID(name: "new", incarnation: 1)
    ).uses
  }

  /// Runs a keeper until its process stops.
  private func stop(_ keeper: KeyUseKeeper) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await keeper.run() }
      group.cancelAll()
      try await group.waitForAll()
    }
  }

  @Test("the next process knows the use of the day")
  func restart() async throws {
    let first = keeper(epoch: 1)
    #expect(known(first).isEmpty)
    _ = first.answer(report(epoch: 1, [use]), from: gateway)
    #expect(known(first) == [use])
    try await stop(first)
    let next = keeper(epoch: 2)
    #expect(known(next) == [use])
    // The same gateway process reports a total again, which counts once.
    _ = next.answer(report(epoch: 2, [use]), from: gateway)
    #expect(known(next) == [use])
  }

  @Test("the file is written only if the use has changed")
  func unchanged() async throws {
    let first = keeper(epoch: 1)
    _ = first.answer(report(epoch: 1, [use]), from: gateway)
    try await stop(first)
    let next = keeper(epoch: 2)
    try FileManager.default.removeItem(atPath: path)
    _ = next.answer(report(epoch: 2, [use]), from: gateway)
    try await stop(next)
    #expect(!FileManager.default.fileExists(atPath: path))
  }

  @Test("a damaged file is ignored and replaced")
  func damaged() async throws {
    for text in ["", "{", "tutti key use 1\nno-key 1 1:1:1 gateway\n"] {
      #expect(
        FileManager.default.createFile(
          atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]))
      let first = keeper(epoch: 1)
      #expect(known(first).isEmpty)
      _ = first.answer(report(epoch: 1, [use]), from: gateway)
      try await stop(first)
      #expect(known(keeper(epoch: 2)) == [use])
    }
  }
}
