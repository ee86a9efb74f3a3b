import Access
import Clocks
import ClusterModel
import Files
import Foundation
import Limits
import Logging
import RegistryCore
import ServiceLifecycle
import Synchronization
import Telemetry

/// Adds up the day's use of keys over all gateways, and keeps it in a file for the next process.
final class KeyUseKeeper: Service {
  /// Time between two writes of the file. A registry that is killed loses the use that ended
  /// gateway processes reported in this time. Running gateways report theirs again.
  private static let pause = Duration.seconds(30)

  /// A row of the file.
  private struct StoredRow: Codable {
    var key: KeyID
    var process: String
    /// Decimal digits, because JSON readers may round large numbers.
    var incarnation: String
    /// Hour, requests and tokens of each hour.
    var hours: [[Int64]]
  }

  private struct State {
    var book: KeyUseBook
    var isChanged = false
  }

  private let path: String
  private let logger: Logger
  private let start = UnixTime.milliseconds()
  private let clock = ProcessClock()
  private let state: Mutex<State>

  /// - Parameters:
  ///   - path: the file. A damaged file is ignored, and replaced by the next write.
  ///   - epoch: the registry's incarnation.
  init(path: String, epoch: UInt64, logger: Logger) {
    self.path = path
    self.logger = logger
    var rows: [KeyUseBook.Row] = []
    do {
      rows = try Self.read(path)
    } catch {
      logger.warning(
        "the day's use of keys could not be read; limits per day count from now on",
        metadata: [LogKey.reason: "\(error)"])
    }
    state = Mutex(State(book: KeyUseBook(epoch: epoch, rows: rows)))
  }

  /// Hours since 1970, by a clock that never jumps, as in gateways. A jump would make all use look
  /// old, or part of a later day.
  private var hour: Int64 {
    HourlyUse.hour(of: start.addingCapped(clock.now.sinceStart.wholeMilliseconds))
  }

  /// Answers a gateway's report.
  func answer(_ report: KeyUseReport, from gateway: PeerID) -> KeyUseTable {
    let hour = hour
    return state.withLock { state in
      if !report.uses.isEmpty { state.isChanged = true }
      return state.book.answer(report, from: gateway, at: hour)
    }
  }

  func run() async throws {
    await cancelWhenGracefulShutdown {
      while (try? await Task.sleep(for: Self.pause)) != nil { self.save() }
    }
    save()
  }

  // MARK: - The file

  private func save() {
    let rows = state.withLock { state -> [KeyUseBook.Row]? in
      guard state.isChanged else { return nil }
      state.isChanged = false
      return state.book.rows
    }
    guard let rows else { return }
    do {
      try Self.write(rows, to: path)
    } catch {
      state.withLock { $0.isChanged = true }
      logger.warning(
        "the day's use of keys could not be written", metadata: [LogKey.reason: "\(error)"])
    }
  }

  private static func read(_ path: String) throws -> [KeyUseBook.Row] {
    guard let bytes = try PrivateFile.read(path, atMost: Limits.accessUseFileBytes.value) else {
      return []
    }
    return try JSONDecoder().decode([StoredRow].self, from: Data(bytes)).compactMap { row in
      guard let incarnation = UInt64(row.incarnation) else { return nil }
      let hours = row.hours.prefix(DayUse.mostHours).compactMap { hour -> HourlyUse? in
        guard hour.count == 3 else { return nil }
        return HourlyUse(hour: hour[0], requests: count(hour[1]), tokens: count(hour[2]))
      }
      return KeyUseBook.Row(
        process: PeerID(name: row.process, incarnation: incarnation),
        use: DayUse(key: row.key, hours: hours))
    }
  }

  private static func count(_ stored: Int64) -> Int {
    min(max(0, Int(clamping: stored)), Limits.accessRateLimit.value)
  }

  private static func write(_ rows: [KeyUseBook.Row], to path: String) throws {
    let stored = rows.map { row in
      StoredRow(
        key: row.use.key, process: row.process.name,
        incarnation: String(row.process.incarnation),
        hours: row.use.hours.map { [$0.hour, Int64($0.requests), Int64($0.tokens)] })
    }
    try PrivateFile.replace(path, with: Array(try JSONEncoder().encode(stored)))
  }
}
