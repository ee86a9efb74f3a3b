/// A content coding of HTTP bodies that can be decoded.
public enum ContentCoding: String, CaseIterable, Hashable, Sendable {
  case identity, gzip, deflate, zstd

  /// Known codings, for `Accept-Encoding` and for the message that refuses another coding.
  public static let known = "gzip, deflate, zstd"

  /// - Parameter header: the values of `Content-Encoding`. Each value may be a list.
  /// - Throws: `UnknownCoding` for an unknown coding, or for more than one coding.
  public init(header: [String]) throws(UnknownCoding) {
    let names = header.flatMap { $0.split(separator: ",") }.map { name in
      name.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }.lowercased()
    }.filter { !$0.isEmpty && $0 != "identity" }
    guard let name = names.first else {
      self = .identity
      return
    }
    guard names.count == 1 else { throw UnknownCoding(name: names.joined(separator: ", ")) }
    guard
      let coding = ContentCoding(rawValue: name.hasPrefix("x-") ? String(name.dropFirst(2)) : name)
    else { throw UnknownCoding(name: name) }
    self = coding
  }
}

/// A content coding that cannot be decoded.
public struct UnknownCoding: Error, Hashable, Sendable {
  /// The name in lower case, cut to 64 bytes. Several codings are separated by commas. Each byte
  /// that is not printable ASCII is replaced by `?`.
  public let name: String

  init(name: String) {
    self.name = String(
      decoding: name.utf8.prefix(64).map { (0x20..<0x7F).contains($0) ? $0 : 0x3F }, as: UTF8.self)
  }
}

/// Reason why a compressed body cannot be decoded further.
public struct BrokenCoding: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Cause: Hashable, Sendable {
    /// The body is not valid data of its coding.
    case invalid
    /// The decoded body has far more bytes than the encoded one.
    case bomb
    /// There is no memory for the decoder.
    case memory
  }

  let coding: ContentCoding
  public let cause: Cause
  /// Predicate of a sentence whose subject is "its body" or "the body".
  public let description: String
}
