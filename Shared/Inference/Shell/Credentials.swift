public import ClusterModel
import Foundation
import InferenceCore
import Synchronization

/// Looks up the secrets that hosts need, for this process only.
///
/// A secret is sent in a request header and nowhere else: not in a log, a metric, an error or a
/// table.
public final class Credentials: Sendable {
  /// Maximum bytes of a secret. API keys and tokens are smaller.
  static let maximumBytes = 8_192
  /// Maximum cached secrets: one for each possible host.
  private static let maximumFiles = 1_000

  private struct Stamp: Equatable {
    var modified: Date
    var size: Int
    var file: Int
  }

  private let environment: [String: String]
  private let rules: CredentialRules
  private let files = Mutex<[String: (stamp: Stamp, secret: String)]>([:])

  /// - Parameters:
  ///   - environment: environment variables. `nil` means those of this process.
  ///   - rules: allowed names and files. A reference outside of them is refused.
  public init(environment: [String: String]? = nil, rules: CredentialRules = CredentialRules()) {
    self.environment = environment ?? ProcessInfo.processInfo.environment
    self.rules = rules
  }

  /// The secret that a host needs. `nil` means that the host needs none.
  ///
  /// A file is read again after it has changed.
  ///
  /// - Throws: `invalidRequest` with a message that names the reference and the remedy.
  public func secret(for host: ClusterModel.Host) throws(Failure) -> String? {
    guard let credential = host.credential else { return nil }
    let reference = try CredentialReference(credential)
    try rules.check(reference)
    switch reference {
    case .environment(let name):
      guard let value = environment[name], !value.isEmpty else {
        throw Failure(
          .invalidRequest, "the environment variable \(name) that host \(host.id) needs is not set")
      }
      return try checked(value, "the environment variable \(name)", host.id)
    case .file(let path):
      return try read(path, host.id)
    }
  }

  /// Minimum characters of a secret that is hidden. A shorter text is not a secret, and it may
  /// occur in any sentence.
  private static let shortestHidden = 4

  /// Removes the secret from a host's error messages. Such messages go to logs and clients, and
  /// some hosts repeat an unknown key in them.
  static func hide(_ secret: String?, in items: [UpstreamItem]) -> [UpstreamItem] {
    guard let secret, secret.count >= shortestHidden else { return items }
    return items.map { item in
      guard case .broken(var failure) = item else { return item }
      failure.message = hide(secret, in: failure.message)
      failure.refusal?.hide(secret)
      return .broken(failure)
    }
  }

  private static func hide(_ secret: String, in message: String) -> String {
    let hidden = message.replacing(secret, with: "***")
    guard hidden.hasSuffix("…") else { return hidden }
    // A long message is clipped, possibly in the middle of the secret.
    let words = hidden.dropLast()
    let part = (shortestHidden..<secret.count).reversed().first {
      words.hasSuffix(secret.prefix($0))
    }
    return part.map { String(words.dropLast($0)) + "***…" } ?? hidden
  }

  private func read(_ path: String, _ host: HostID) throws(Failure) -> String {
    let what = "the file \(path)"
    // Links are resolved, because a mounted secret is replaced by changing a link.
    let target = URL(filePath: path).resolvingSymlinksInPath().path
    let folder = URL(filePath: rules.folder).resolvingSymlinksInPath().path
    guard target.hasPrefix(folder + "/") else {
      throw Failure(
        .invalidRequest,
        "\(what) that host \(host) needs is a link that leads out of \(rules.folder)")
    }
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: target),
      let modified = attributes[.modificationDate] as? Date,
      let size = (attributes[.size] as? NSNumber)?.intValue,
      let file = (attributes[.systemFileNumber] as? NSNumber)?.intValue
    else { throw Failure(.invalidRequest, "\(what) that host \(host) needs is not there") }
    let stamp = Stamp(modified: modified, size: size, file: file)
    if let known = files.withLock({ $0[path] }), known.stamp == stamp { return known.secret }
    guard size <= Self.maximumBytes else {
      throw Failure(
        .invalidRequest,
        "\(what) that host \(host) needs is larger than \(Self.maximumBytes) bytes: is it a secret?"
      )
    }
    guard let handle = FileHandle(forReadingAtPath: target),
      let text = try? String(
        bytes: handle.read(upToCount: Self.maximumBytes) ?? Data(), encoding: .utf8)
    else {
      throw Failure(.invalidRequest, "\(what) that host \(host) needs cannot be read as text")
    }
    let secret = try checked(
      text.trimmingCharacters(in: .whitespacesAndNewlines), what, host)
    // A fresh file is not cached. If it changed again within the resolution of the file system's
    // clock, the new version would look like the cached one.
    guard Date().timeIntervalSince(modified) > 1 else { return secret }
    files.withLock { known in
      if known.count >= Self.maximumFiles { known.removeAll() }
      known[path] = (stamp, secret)
    }
    return secret
  }

  /// Checks that a secret can be the value of a header.
  private func checked(
    _ secret: String, _ what: String, _ host: HostID
  ) throws(Failure) -> String {
    guard !secret.isEmpty else {
      throw Failure(.invalidRequest, "\(what) that host \(host) needs is empty")
    }
    guard secret.utf8.count <= Self.maximumBytes,
      secret.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F })
    else {
      throw Failure(
        .invalidRequest,
        "\(what) that host \(host) needs is too long or has characters that are not allowed in an "
          + "HTTP header")
    }
    return secret
  }
}
