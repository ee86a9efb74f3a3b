/// A compression of HTTP bodies that can be undone.
public enum ContentCoding: String, CaseIterable, Hashable, Sendable {
  case identity, gzip, deflate, zstd

  /// For `Accept-Encoding`, and for the sentence that refuses another one.
  public static let known = "gzip, deflate, zstd"

  /// - Parameter header: the values of `Content-Encoding`, each perhaps a list.
  /// - Throws: a coding that is not known, or more than one after the other.
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

/// A content coding that cannot be undone here.
public struct UnknownCoding: Error, Hashable, Sendable {
  /// As it was sent, at most 64 bytes of printable ASCII.
  public let name: String

  init(name: String) {
    self.name = String(
      decoding: name.utf8.prefix(64).map { (0x20..<0x7F).contains($0) ? $0 : 0x3F }, as: UTF8.self)
  }
}

/// Why a compressed body cannot be read on.
public struct BrokenCoding: Error, Hashable, Sendable, CustomStringConvertible {
  public enum Cause: Hashable, Sendable {
    /// It is not what the coding says.
    case invalid
    /// It decodes to far more than it has bytes.
    case bomb
    /// No memory for the decoder.
    case memory
  }

  public let coding: ContentCoding
  public let cause: Cause
  /// Follows "its body" or "the body" in a sentence.
  public let description: String
}
