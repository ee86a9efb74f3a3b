import ClusterModel
import Foundation
import Logging
import Telemetry
import Testing

@testable import MonitorService

@Suite("Watching crashes")
struct CrashWatchTests {
  @Test("each crash of a child is one error with its reason and its report")
  func crashes() throws {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
      UUID().uuidString)
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let recorder = TelemetryRecorder(service: "monitor", instance: "monitor")
    let sink = LogSink(service: "monitor", format: .json, recorder: recorder, write: { _ in })
    var watch = CrashWatch(
      dataDirectory: directory.path, own: "monitor",
      logger: Logger(label: "test") { _ in TelemetryLogHandler(sink: sink, level: .info) })
    func lines(_ list: String?) throws -> [LogRecord] {
      if let list {
        try Data(list.utf8).write(to: directory.appendingPathComponent("crashes.json"))
      }
      watch.look()
      return recorder.drain().flatMap(\.logs)
    }
    // Without `tutti up` there is no list.
    #expect(try lines(nil).isEmpty)
    #expect(try lines("[]").isEmpty)
    let crash =
      #"[{"name":"embedded-1","count":2,"last_unix_s":1769862896,"reason":"was killed by signal 9","#
      + #""report":"/d/crashes/embedded-1-7.txt"}]"#
    let found = try lines(crash)
    #expect(found.map(\.level) == ["error"])
    let facts = Dictionary(
      uniqueKeysWithValues: try #require(found.first).attributes.map { ($0.key, $0.value) })
    #expect(
      facts == [
        "event": "service_died", "process": "embedded-1", "count": "2",
        "reason": "was killed by signal 9", "report": "/d/crashes/embedded-1-7.txt",
        "at": "2026-01-31T12:34:56.000000Z",
      ])
    #expect(try lines(crash).isEmpty)
    // A damaged list is no crash.
    #expect(try lines("[{").isEmpty)
    #expect(try lines(crash).isEmpty)
  }
}
