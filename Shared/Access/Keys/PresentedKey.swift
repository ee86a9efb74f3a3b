import Limits

/// The key that a request presents in its headers.
public enum PresentedKey: Hashable, Sendable {
  case absent
  case key(APIKey)
  /// The request contains text in place of a key, several keys, or a key in its URL.
  case unusable(Problem)

  public enum Problem: Hashable, Sendable {
    /// The text is not of the form `tutti-<id>-<secret>`.
    case malformed
    /// Headers contain different keys. The caller would not know to which key the request is
    /// charged.
    case several
    /// The URL contains a key. URLs end up in logs of proxies and in histories of browsers.
    case inQuery
  }

  /// Reads the headers that may contain a key. Each header may occur any number of times.
  ///
  /// - Parameters:
  ///   - authorization: values of `Authorization`. Schemes other than `Bearer` are not keys.
  ///   - apiKeys: values of `x-api-key` and of `api-key`.
  ///   - query: the part of the URL after its `?`, as received.
  public init(authorization: [String], apiKeys: [String], query: String = "") {
    guard !Self.isKeyIn(query: query.utf8) else {
      self = .unusable(.inQuery)
      return
    }
    var found: Substring.UTF8View?
    for candidate in authorization.compactMap(Self.bearerToken) + apiKeys.map(Self.trimmed) {
      guard !candidate.isEmpty else { continue }
      guard candidate.count <= Limits.accessKeyBytes.value else {
        self = .unusable(.malformed)
        return
      }
      if let found, !found.elementsEqual(candidate) {
        self = .unusable(.several)
        return
      }
      found = candidate
    }
    guard let found else {
      self = .absent
      return
    }
    self = APIKey(found).map(PresentedKey.key) ?? .unusable(.malformed)
  }

  // MARK: - Header values

  private static func trimmed(_ value: String) -> Substring.UTF8View {
    trimmed(value[...].utf8)
  }

  private static func trimmed(_ value: Substring.UTF8View) -> Substring.UTF8View {
    var value = value
    while let first = value.first, isBlank(first) { value.removeFirst(1) }
    while let last = value.last, isBlank(last) { value.removeLast(1) }
    return value
  }

  /// The text after `Bearer`. `nil` means that the value has another scheme.
  private static func bearerToken(_ value: String) -> Substring.UTF8View? {
    let value = trimmed(value)
    let scheme = value.prefix { !isBlank($0) }
    guard isEqual(scheme, to: "bearer") else { return nil }
    return trimmed(value[scheme.endIndex...])
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
  }

  /// Compares a text with a word, without regard to upper and lower case.
  ///
  /// - Parameter lowercase: ASCII text in lower case.
  private static func isEqual(_ text: Substring.UTF8View, to lowercase: String) -> Bool {
    lowercase.utf8.elementsEqual(text) { $0 == lowered($1) }
  }

  private static func lowered(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
  }

  // MARK: - Query

  /// Names of query parameters in which other services accept keys.
  private static let queryNames = [
    "api_key", "api-key", "apikey", "x-api-key", "access_token", "authorization",
  ]

  /// Whether a parameter has one of the `queryNames`, or a value in the form of a key.
  private static func isKeyIn(query: String.UTF8View) -> Bool {
    query.split(separator: UInt8(ascii: "&")).contains { parameter in
      let name = parameter.prefix { $0 != UInt8(ascii: "=") }
      let value = parameter.dropFirst(name.count + 1)
      return queryNames.contains { isEqual(name, to: $0) } || APIKey(value) != nil
    }
  }
}
