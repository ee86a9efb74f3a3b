import Access
import Clocks
import ClusterModel
import Files
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

  private struct State {
    var book: KeyUseBook
    /// Revision of the book that the file has. `nil` means that the last write failed.
    var savedRevision: UInt64?
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
      logger.report(
        .keyUseNotRead,
        metadata: [LogKey.reason: "\(error)"])
    }
    let book = KeyUseBook(epoch: epoch, rows: rows)
    state = Mutex(State(book: book, savedRevision: book.revision))
  }

  /// Hours since 1970, by a clock that never jumps, as in gateways. A jump would make all use look
  /// old, or part of a later day.
  private var hour: Int64 {
    HourlyUse.hour(of: start.addingCapped(clock.now.sinceStart.wholeMilliseconds))
  }

  /// Answers a gateway's report.
  func answer(_ report: KeyUseReport, from gateway: PeerID) -> KeyUseTable {
    let hour = hour
    return state.withLock { $0.book.answer(report, from: gateway, at: hour) }
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
      guard state.book.revision != state.savedRevision else { return nil }
      state.savedRevision = state.book.revision
      return state.book.rows
    }
    guard let rows else { return }
    var slices = KeyUseFile.Slices(rows)
    do throws(FileRefused) {
      try PrivateFile.replace(path) { slices.take() }
    } catch {
      state.withLock { $0.savedRevision = nil }
      logger.report(.keyUseNotWritten, metadata: [LogKey.reason: "\(error)"])
    }
  }

  private static func read(_ path: String) throws(FileRefused) -> [KeyUseBook.Row] {
    guard let bytes = try PrivateFile.read(path, atMost: Limits.accessUseFileBytes.value) else {
      return []
    }
    guard let rows = KeyUseFile.rows(in: bytes) else {
      throw FileRefused("\(path) is damaged; the next write replaces it.")
    }
    return rows
  }
}
