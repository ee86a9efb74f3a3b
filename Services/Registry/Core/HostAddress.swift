public import ClusterModel
import Text

/// A host's base URL in normal form, and the id derived from it.
public struct HostAddress: Hashable, Sendable {
  /// The URL without a trailing slash, without `/v1` and without the scheme's default port.
  public let url: String
  /// For example `127.0.0.1:11434`. The parts of a path are joined by `-`.
  public let defaultID: HostID
  /// Whether a third party can read requests in transit, because they go over `http` to another
  /// machine.
  let isReadableOnTheWay: Bool
  /// Whether the API's paths follow `url` without `/v1` between them. It is `false` if the
  /// configured URL has a path before its `/v1`, such as `…/llm/v1`. `nil` means that a probe must
  /// find out.
  let omitsV1: Bool?
  /// A probe's first guess of `omitsV1`. A base URL with its own path, such as `…/v1beta/openai`,
  /// usually needs no `/v1`.
  let probablyOmitsV1: Bool
  /// Text that is equal for two spellings of one host. For example, `localhost` and `127.0.0.1`
  /// give the same text.
  let identity: String

  /// Maximum bytes of a URL.
  public static let maximumBytes = 2_048

  public init(_ text: String) throws(Failure) {
    func refuse(_ why: String) -> Failure {
      Failure(.invalidRequest, "url \(why); write it as http://HOST:PORT or https://HOST.")
    }
    guard text.utf8.count <= Self.maximumBytes else {
      throw refuse("has more than \(Self.maximumBytes) bytes")
    }
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw refuse("contains a character that must be percent-encoded")
    }
    let lower = text.lowercased()
    let scheme: String
    if lower.hasPrefix("http://") {
      scheme = "http"
    } else if lower.hasPrefix("https://") {
      scheme = "https"
    } else {
      throw refuse("does not begin with http:// or https://")
    }
    let rest = text.dropFirst(scheme.utf8.count + 3)
    guard !rest.contains("?"), !rest.contains("#") else { throw refuse("has a query or fragment") }
    let authority = rest.prefix { $0 != "/" }
    guard !authority.contains("@") else {
      throw refuse("holds credentials, which every list of hosts would show")
    }
    guard let (name, port) = Self.split(authority.lowercased()) else {
      throw refuse("has no valid host and port (1–65535)")
    }
    var path = String(rest.dropFirst(authority.count))
    func trim() { while path.hasSuffix("/") { path.removeLast() } }
    trim()
    // Accept the URL of an endpoint instead of the base URL.
    for endpoint in ["/chat/completions", "/models"] where path.hasSuffix(endpoint) {
      path.removeLast(endpoint.utf8.count)
    }
    trim()
    let endsInV1 = path.hasSuffix("/v1")
    if endsInV1 { path.removeLast(3) }
    trim()
    omitsV1 = endsInV1 && !path.isEmpty ? false : nil
    probablyOmitsV1 = !endsInV1 && !path.isEmpty
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    guard parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." }) else {
      throw refuse("has a path with empty or dot parts")
    }

    let ownPort = scheme == "http" ? 80 : 443
    let suffix = port.map { $0 == ownPort ? "" : ":\($0)" } ?? ""
    url = "\(scheme)://\(name)\(suffix)\(path)"
    let bare = name.filter { $0 != "[" && $0 != "]" }
    defaultID = HostID(([bare + suffix] + parts.map(Self.idSafe)).joined(separator: "-"))
    let machine = name == "localhost" ? "127.0.0.1" : name
    identity = "\(scheme)://\(machine)\(suffix)\(path)"
    isReadableOnTheWay = scheme == "http" && !bare.isLoopbackName
  }

  /// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
  private static func split(_ authority: String) -> (name: String, port: Int?)? {
    var name = authority[...]
    var port: Int?
    if let colon = authority.lastIndex(of: ":"),
      !authority.hasPrefix("[") || authority[..<colon].hasSuffix("]")
    {
      let digits = authority[authority.index(after: colon)...]
      guard digits.utf8.count <= 5, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        let number = Int(digits), (1...65_535).contains(number)
      else { return nil }
      port = number
      name = authority[..<colon]
    }
    if name.hasPrefix("[") {
      guard name.hasSuffix("]"), name.count > 3, name.contains(":"),
        name.dropFirst().dropLast().allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." })
      else { return nil }
    } else {
      let labels = name.split(separator: ".", omittingEmptySubsequences: false)
      guard name.utf8.count <= 253, labels.allSatisfy(isLabel) else { return nil }
    }
    return (String(name), port)
  }

  private static func isLabel(_ label: Substring) -> Bool {
    (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
      && label.utf8.allSatisfy { HostAddress.isLetterOrDigit($0) || $0 == 0x2D || $0 == 0x5F }
  }

  static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: false
    }
  }

  private static func idSafe(_ part: Substring) -> String {
    String(
      decoding: part.utf8.map { isLetterOrDigit($0) || $0 == 0x2E || $0 == 0x5F ? $0 : 0x2D },
      as: UTF8.self)
  }

  /// Checks an id, which is used in paths of the admin API and in metric labels.
  public static func check(id: String) throws(Failure) {
    let allowed = id.utf8.allSatisfy {
      isLetterOrDigit($0) || [0x2E, 0x3A, 0x5F, 0x2D].contains($0)
    }
    guard (1...128).contains(id.utf8.count), allowed, id != ".", id != ".." else {
      throw Failure(
        .invalidRequest,
        "A host's id must have 1 to 128 of the characters a–z A–Z 0–9 . : _ and -.")
    }
  }
}
