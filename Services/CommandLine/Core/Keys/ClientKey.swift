public import ClusterModel
import Text

/// Key that a command sends to the gateway and the monitor.
public struct ClientKey: Hashable, Sendable {
  /// The place that a key comes from.
  public enum Source: Hashable, Sendable {
    /// The variable `TUTTI_API_KEY`.
    case variable
    /// The file that `--key-file` names.
    case file(String)
    /// The file that `--save` wrote. If the file is absent, no key is sent.
    case saved(String)

    public static let variableName = "TUTTI_API_KEY"

    /// - Parameter variable: value of `TUTTI_API_KEY`. An empty one counts as unset.
    public init(variable: String?, keyFile: String?, dataDirectory: String) {
      if let variable, !variable.isEmpty {
        self = .variable
      } else if let keyFile {
        self = .file(keyFile)
      } else {
        self = .saved(Self.savedFile(in: dataDirectory))
      }
    }

    /// Path of the file that `--save` writes.
    public static func savedFile(in dataDirectory: String) -> String {
      dataDirectory + "/client-key"
    }

    var name: String {
      switch self {
      case .variable: Self.variableName
      case .file(let path), .saved(let path): path
      }
    }
  }

  public let source: Source
  /// The key as text, for a header.
  public let revealed: String

  /// Maximum bytes of a key. A proxy before the gateway may require keys that are longer than
  /// Tutti's.
  public static let maximumBytes = 4_096

  /// - Parameter contents: the variable's value or the file's contents. White space around the key
  ///   is ignored.
  public init(_ contents: some Collection<UInt8>, from source: Source) throws(ProcessFailure) {
    let text = contents.drop(while: Self.isSpace)
    let bytes = Array(text).reversed().drop(while: Self.isSpace).reversed()
    guard !bytes.isEmpty else {
      throw ProcessFailure(.usage, "\(source.name) has no key; \(Self.remedies)")
    }
    guard bytes.count <= Self.maximumBytes, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw ProcessFailure(
        .usage,
        "the text in \(source.name) is not a key: it has spaces, control characters or letters "
          + "outside ASCII, or more than \(Self.maximumBytes) bytes")
    }
    self.source = source
    revealed = String(decoding: bytes, as: UTF8.self)
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  private static let remedies =
    "set \(Source.variableName), name a file with --key-file, or save a key in the data directory "
    + "with `tutti keys create NAME --save`"

  /// Advice for a client whose key the gateway or the monitor refused.
  ///
  /// - Parameter source: `nil` means that no key was sent.
  public static func advice(afterRefusing source: Source?) -> String {
    guard let source else { return "no key was sent: \(remedies)" }
    return "the key came from \(source.name); `tutti keys list` shows which keys are valid. For "
      + "another key, \(remedies)"
  }
}

extension ClientKey: CustomStringConvertible, CustomReflectable {
  public var description: String { "*** (\(source.name))" }
  /// Empty, so that `dump` and test failures do not print the key.
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Whether a key may be sent to an address.
public enum KeyDestination: Hashable, Sendable {
  /// `tutti up` wrote the address. Another program may have taken the ports of a cluster that
  /// ended, so the registry at the address must prove that it belongs to the cluster.
  case provenCluster
  /// The user named the address, and no machine on the way to it can read the key.
  case allowed
  /// The key would cross the network without encryption.
  case refused

  public init(_ address: ClusterAddress) {
    if address.pid != nil {
      self = .provenCluster
    } else {
      self = Self.isPrivate(address.gateway) ? .allowed : .refused
    }
  }

  /// Whether no machine on the way to the URL can read the request.
  ///
  /// - Parameter url: base URL, without a path.
  private static func isPrivate(_ url: String) -> Bool {
    if url.hasPrefix("https://") { return true }
    guard url.hasPrefix("http://") else { return false }
    let authority = url.dropFirst("http://".count)
    // In `127.0.0.1:80@host` the address is a user name, and the request goes to `host`.
    guard !authority.utf8.contains(UInt8(ascii: "@")) else { return false }
    if authority.hasPrefix("[") { return authority.hasPrefix("[::1]") }
    let host = authority.prefix { $0 != ":" }
    return host.isLoopbackName
  }

  /// Why the admin token is not sent to the registry, and the remedy. `nil` means that the token
  /// may be sent.
  ///
  /// The registry's proof does not help here, because a program on the way can forward the proof of
  /// the real registry.
  public static func tokenRefusal(registry url: String) -> String? {
    isPrivate(url)
      ? nil
      : "the admin token was not sent to \(url): it would cross the network without encryption. "
        + "\(remedy)"
  }

  private static let remedy =
    "Use an address with https://, or a tunnel to a port of this machine"

  /// Why a key is not sent to this address, and the remedy.
  public static func refusal(of address: ClusterAddress, source: ClientKey.Source) -> String {
    "the key in \(source.name) was not sent to \(address.gateway): it would cross the network "
      + "without encryption. \(remedy)"
  }
}
