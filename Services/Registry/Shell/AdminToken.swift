import ClusterModel
import Files
import Foundation
import ServiceKit

/// The admin's secret. It is never printed.
struct AdminToken: Sendable {
  /// A secret of 16 bytes cannot be guessed over a network.
  static let minimumBytes = 16
  private static let maximumBytes = 4_096

  private let bytes: [UInt8]

  /// - Parameters:
  ///   - configured: takes precedence over the file.
  ///   - dataDirectory: holds `admin-token`, which is created with mode 0600 if absent.
  init(configured: String?, dataDirectory: String) throws {
    if let configured {
      bytes = Array(configured.utf8)
      return
    }
    let path = dataDirectory + "/admin-token"
    let contents: [UInt8]
    do throws(FileRefused) {
      // `create` leaves an existing file alone. `read` refuses a file that does not belong to this
      // user alone.
      _ = try PrivateFile.create(path, Array((AdminProof.nonce() + "\n").utf8))
      contents = try PrivateFile.read(path, atMost: Self.maximumBytes) ?? []
    } catch {
      throw ProcessFailure(.unavailable, error.message)
    }
    let text = String(decoding: contents, as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
    guard text.utf8.count >= Self.minimumBytes else {
      throw ProcessFailure(
        .unavailable,
        "\(path) holds fewer than \(Self.minimumBytes) bytes; remove it to have a new one made.")
    }
    bytes = Array(text.utf8)
  }

  /// - Returns: `nil` if `nonce` is not valid.
  func proof(of nonce: String) -> String? {
    AdminProof.isNonce(nonce) ? AdminProof.proof(token: bytes, nonce: nonce) : nil
  }

  /// Whether the candidate is the token. The comparison takes the same time wherever the first
  /// wrong byte is.
  func matches(_ candidate: String) -> Bool {
    let other = Array(candidate.utf8)
    var difference = UInt(bitPattern: bytes.count ^ other.count)
    for index in bytes.indices {
      difference |= UInt(bytes[index] ^ (index < other.count ? other[index] : 0))
    }
    return difference == 0
  }
}
