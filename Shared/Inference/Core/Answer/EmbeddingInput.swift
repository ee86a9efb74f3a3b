import Text

/// The input texts of an embeddings request.
///
/// A model reads each text separately, so a hundred short texts fit into a small context.
enum EmbeddingInput {
  /// Tokens of the longest text. A text counts as one token per four bytes. A text that is sent as
  /// an array of tokens is counted exactly. If the input is not an array, the whole body is
  /// estimated.
  static func longestTokens(in body: [UInt8]) -> Int {
    guard let scanner = try? JSONObjectScanner(body), let input = scanner["input"],
      input.kind == .array
    else { return body.count / TokenEstimate.bytesPerToken }
    let document = scanner.document
    var count = 0
    var longest = 0
    // The elements are not collected in an array. An array of single digits would take twelve times
    // the memory of their JSON text.
    for text in document.eachElement(of: input) {
      count += 1
      longest = max(longest, Self.tokens(text, document))
    }
    // An array of numbers is one text, sent as tokens.
    return isTokens(input, document) ? count : longest
  }

  private static func tokens(_ text: JSONValue, _ document: JSONDocument) -> Int {
    guard text.kind == .array else { return text.range.count / TokenEstimate.bytesPerToken }
    var count = 0
    for _ in document.eachElement(of: text) { count += 1 }
    return count
  }

  private static func isTokens(_ input: JSONValue, _ document: JSONDocument) -> Bool {
    for element in document.eachElement(of: input) where element.kind == .number { return true }
    return false
  }

  /// Number of input texts. `nil` means that the request does not show the number.
  static func count(_ scanner: JSONObjectScanner) -> Int? {
    guard let input = scanner["input"] else { return nil }
    if input.kind == .string { return 1 }
    guard input.kind == .array else { return nil }
    if isTokens(input, scanner.document) { return 1 }
    var count = 0
    for _ in scanner.document.eachElement(of: input) { count += 1 }
    return count == 0 ? nil : count
  }
}
