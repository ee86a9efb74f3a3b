import BillingJournal
import ClusterModel
import Foundation
import Money
import Testing

/// A directory of one test, removed at its end.
final class JournalScratch: Sendable {
  private let directory: URL

  init() throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("tutti-journal-\(UUID().uuidString)")
    try FileManager.default.createDirectory(
      at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(at: directory) }

  var path: String { path("billing.journal") }

  func path(_ name: String) -> String { directory.appendingPathComponent(name).path }

  /// Bytes of the file, as they remain if the process is killed now.
  func contents(of path: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
  }

  /// Writes a file that only its owner may use.
  func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
  }

  /// Opens a copy of the bytes under a new name, as the next process would open the file.
  func reopen(_ bytes: [UInt8], slots: Int = 4) throws -> BillingJournal.Opened {
    let copy = path("copy-\(UUID().uuidString)")
    try write(bytes, to: copy)
    return try BillingJournal.open(path: copy, incarnation: 2, slots: slots)
  }

  /// The entry of a request that the next process would get if this process were killed now.
  func entry(_ request: String) throws -> BillingEntry {
    let entries = try reopen(contents(of: path)).entries
    return try #require(entries.first { $0.request.id == request })
  }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted() }
  }
}

extension BilledRequest {
  static func example(_ id: String, model: ModelID = "qwen3-8b") -> BilledRequest {
    BilledRequest(
      id: id, keyID: "abcdefgh2345", leaseID: "hold/gateway/abcdefgh2345/7", model: model,
      admittedAt: 1_700_000_000_000, inputPrice: MicroCredits(150_000),
      cachedInputPrice: MicroCredits(-1), outputPrice: MicroCredits(.max),
      hold: MicroCredits(12_345))
  }
}
