import CommandLineCore
import Foundation
import MonitorCore
import Testing

@Suite("New crashes of children")
struct NewCrashesTests {
  /// The list as `tutti up` writes it.
  private func list(_ crashes: [(name: String, count: Int, time: Int64)]) throws -> [ProcessCrashes]
  {
    let written = crashes.map {
      ChildCrashes(
        name: $0.name, count: $0.count, lastUnixSeconds: $0.time, reason: "exited with 1",
        report: $0.count == 1 ? nil : "/r")
    }
    return try JSONDecoder().decode([ProcessCrashes].self, from: JSONEncoder().encode(written))
  }

  @Test("each crash of each process is found once, in order of time")
  func once() throws {
    var crashes = NewCrashes(own: "monitor")
    #expect(crashes.found(in: []).isEmpty)
    let first = try list([("embedded-1", 1, 12), ("agent-code", 2, 11)])
    let found = crashes.found(in: first)
    #expect(found.map(\.name) == ["agent-code", "embedded-1"])
    #expect(found.map(\.report) == ["/r", nil])
    #expect(crashes.found(in: first).isEmpty)
    let second = try list([("embedded-1", 1, 12), ("agent-code", 5, 20)])
    #expect(crashes.found(in: second).map(\.count) == [5])
  }

  @Test("a monitor that started again finds its own crash and later ones, and no earlier ones")
  func restarted() throws {
    var crashes = NewCrashes(own: "monitor")
    let before = try list([("planner", 3, 10), ("monitor", 1, 20), ("gateway", 1, 21)])
    #expect(crashes.found(in: before).map(\.name) == ["monitor", "gateway"])
    #expect(crashes.found(in: before).isEmpty)
  }

  @Test("the first monitor finds crashes before its start")
  func earlier() throws {
    var crashes = NewCrashes(own: "monitor")
    #expect(crashes.found(in: try list([("registry", 1, 10)])).map(\.name) == ["registry"])
  }

  @Test("numbers that begin again are crashes of a new cluster")
  func newCluster() throws {
    var crashes = NewCrashes(own: "monitor")
    _ = crashes.found(in: try list([("registry", 4, 10)]))
    #expect(crashes.found(in: []).isEmpty)
    #expect(crashes.found(in: try list([("registry", 1, 30)])).map(\.count) == [1])
  }
}
