import ClusterModel
import Foundation
import ServiceKit

/// What an admin must show. Never printed.
struct AdminToken: Sendable {
  /// 16 bytes cannot be guessed over a network.
  static let minimumBytes = 16

  private let bytes: [UInt8]

  /// - Parameters:
  ///   - configured: wins over the file.
  ///   - dataDirectory: holds `admin-token`, made with mode 0600 when absent.
  init(configured: String?, dataDirectory: String) throws {
    if let configured {
      bytes = Array(configured.utf8)
      return
    }
    let path = dataDirectory + "/admin-token"
    if !FileManager.default.fileExists(atPath: path) {
      var rng = SystemRandomNumberGenerator()
      let digits = (0..<4).map { _ in rng.next() as UInt64 }.map {
        let text = String($0, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
      }
      // Only its owner can read it from its first moment on.
      let made = FileManager.default.createFile(
        atPath: path, contents: Data((digits.joined() + "\n").utf8),
        attributes: [.posixPermissions: 0o600])
      guard made else {
        throw ServiceFailure(.unavailable, "Cannot create \(path); check the data directory.")
      }
    }
    guard let contents = FileManager.default.contents(atPath: path) else {
      throw ServiceFailure(.unavailable, "Cannot read \(path); check its permissions.")
    }
    let text = String(decoding: contents, as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    guard text.utf8.count >= Self.minimumBytes else {
      throw ServiceFailure(
        .unavailable,
        "\(path) holds fewer than \(Self.minimumBytes) bytes; remove it to have a new one made.")
    }
    bytes = Array(text.utf8)
  }

  /// Takes as long for a token that is wrong in its first byte as for one wrong in its last.
  func matches(_ candidate: String) -> Bool {
    let other = Array(candidate.utf8)
    var difference = UInt(bitPattern: bytes.count ^ other.count)
    for index in bytes.indices {
      difference |= UInt(bytes[index] ^ (index < other.count ? other[index] : 0))
    }
    return difference == 0
  }
}
