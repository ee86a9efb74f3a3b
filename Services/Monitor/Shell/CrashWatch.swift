import ClusterModel
import Foundation
import Limits
import Logging
import MonitorCore
import Telemetry

/// Logs the crashes of all children of `tutti up`. A model server does not log by itself, and a
/// process that died cannot.
struct CrashWatch: Sendable {
  /// The list changes only when a process dies, so a person does not notice the delay.
  private static let interval: Duration = .seconds(2)

  private let path: String
  private let logger: Logger
  private var crashes: NewCrashes

  init(dataDirectory: String, own: String, logger: Logger) {
    path = dataDirectory + "/crashes.json"
    self.logger = logger
    crashes = NewCrashes(own: own)
  }

  /// Reads the list until the Swift task is cancelled.
  mutating func run() async {
    while !Task.isCancelled {
      look()
      try? await Task.sleep(for: Self.interval)
    }
  }

  /// Reads the list once. A cluster without `tutti up` has none.
  mutating func look() {
    guard let list = read() else { return }
    for crash in crashes.found(in: list) {
      let time = Timestamp(
        unixMicroseconds: UInt64(clamping: crash.lastUnixSeconds).multipliedCapped(by: 1_000_000))
      var metadata: Logger.Metadata = [
        LogKey.process: "\(crash.name)", LogKey.count: "\(crash.count)",
        LogKey.reason: "\(crash.reason)",
        "at": "\(time)",
      ]
      if let report = crash.report { metadata["report"] = "\(report)" }
      logger.report(.serviceDied, metadata: metadata)
    }
  }

  /// - Returns: `nil` if there is no list, or if it cannot be read.
  private func read() -> [ProcessCrashes]? {
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    defer { try? file.close() }
    guard let data = try? file.read(upToCount: Limits.crashListBytes.value) else { return nil }
    return try? JSONDecoder().decode([ProcessCrashes].self, from: data)
  }
}
