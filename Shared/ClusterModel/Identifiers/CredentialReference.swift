/// Location of a host's secret. The host table, database and admin API hold only this reference.
public enum CredentialReference: Hashable, Sendable, CustomStringConvertible {
  /// Environment variable of the process that sends requests to the host.
  case environment(String)
  /// Absolute path. The secret is the file's contents without leading and trailing white space.
  case file(String)

  /// Maximum bytes of a reference. They are enough for a long path.
  public static let maximumBytes = 1_024

  /// - Parameter text: `env:NAME` or `file:/path`.
  /// - Throws: `invalidRequest`. The message never repeats the text, which may be the secret
  ///   itself.
  public init(_ text: String) throws(Failure) {
    func refuse(_ why: String) -> Failure {
      Failure(
        .invalidRequest,
        "credential \(why); write env:NAME or file:/absolute/path. The secret itself stays in the "
          + "environment or file of the processes that send requests to the host.")
    }
    guard text.utf8.count <= Self.maximumBytes else {
      throw refuse("has more than \(Self.maximumBytes) bytes")
    }
    guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
      throw refuse("contains a control character")
    }
    if text.hasPrefix("env:") {
      let name = text.dropFirst(4)
      let isName =
        name.utf8.first.map { !(0x30...0x39).contains($0) } ?? false
        && name.utf8.allSatisfy {
          $0 == 0x5F || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
            || (0x61...0x7A).contains($0)
        }
      guard isName else { throw refuse("does not name an environment variable") }
      self = .environment(String(name))
    } else if text.hasPrefix("file:") {
      let path = text.dropFirst(5)
      guard path.hasPrefix("/"), path.utf8.count > 1 else {
        throw refuse("does not name an absolute path")
      }
      self = .file(String(path))
    } else {
      throw refuse("is not a reference")
    }
  }

  public var description: String {
    switch self {
    case .environment(let name): "env:\(name)"
    case .file(let path): "file:\(path)"
    }
  }
}

/// Rules that decide which references a cluster follows.
///
/// Without rules, an admin could send any environment variable or file of the services to a host,
/// for example another program's API key.
public struct CredentialRules: Hashable, Sendable {
  public static let standardPrefix = "TUTTI_CREDENTIAL_"

  /// Required prefix of variable names.
  public var prefix: String
  /// Absolute path of the directory that secrets are read from. Empty means that no file is read.
  public var folder: String

  public init(prefix: String = Self.standardPrefix, folder: String = "") {
    self.prefix = prefix
    self.folder = folder
  }

  /// - Throws: `invalidRequest`. The message names the references that are allowed.
  public func check(_ reference: CredentialReference) throws(Failure) {
    switch reference {
    case .environment(let name):
      guard name.hasPrefix(prefix), name != prefix else {
        throw Failure(
          .invalidRequest,
          "credential env:\(name) is not followed: the variable's name must begin with \(prefix) "
            + "(setting cluster.credentials_prefix).")
      }
    case .file(let path):
      guard !folder.isEmpty, path.hasPrefix(folder + "/"),
        !path.split(separator: "/").contains(where: { $0 == ".." || $0 == "." })
      else {
        throw Failure(
          .invalidRequest,
          "credential file:\(path) is not followed: the file must be below "
            + "\(folder.isEmpty ? "the credentials folder" : folder) "
            + "(setting cluster.credentials_dir).")
      }
    }
  }
}
