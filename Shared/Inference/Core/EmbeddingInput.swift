import Text

/// What an embeddings request asks to be embedded. A model reads each of its texts by itself, so a
/// hundred short ones fit into a small context.
enum EmbeddingInput {
  /// Of the longest text, estimated at four bytes a token; texts that come as tokens are counted.
  /// Of a body that is none: of all of it.
  static func longestTokens(in body: [UInt8]) -> Int {
    guard let scanner = try? JSONObjectScanner(body), let input = scanner["input"],
      input.kind == .array
    else { return body.count / TokenTally.bytesPerToken }
    let document = scanner.document
    let texts = document.elements(of: input)
    // [1, 2, 3] is one text.
    if texts.contains(where: { $0.kind == .number }) { return texts.count }
    return texts.reduce(0) { longest, text in
      let tokens =
        text.kind == .array
        ? document.elements(of: text).count : text.range.count / TokenTally.bytesPerToken
      return max(longest, tokens)
    }
  }
}
