import ClusterModel
import Limits
import Text

/// A request to an embedding model, to compare texts. It embeds the texts, and some unrelated texts
/// as a baseline (`VectorLikeness`).
public struct ConsensusQuestion: Sendable {
  /// Maximum bytes of a piece. Small embedding models read 256 tokens, and truncate or reject the
  /// rest.
  static let pieceBytes = 1_000
  /// Maximum pieces of one text: half from its beginning, half from its end.
  static let piecesOfText = 4
  /// Maximum inputs of one request. This is the default of text-embeddings-inference.
  static let maximumPieces = 32

  private let pieces: [[String]]

  /// - Returns: `nil` if there are fewer than two texts, a text is empty, or the texts do not fit
  ///   into one request.
  public init?(_ texts: [String]) {
    let room = Self.maximumPieces - VectorLikeness.unrelated.count
    guard texts.count > 1, texts.count <= room else { return nil }
    let each = min(Self.piecesOfText, room / texts.count)
    pieces = texts.map { Self.pieces(of: $0, atMost: each) }
    guard pieces.allSatisfy({ !$0.isEmpty }) else { return nil }
  }

  var inputs: [String] { pieces.joined() + VectorLikeness.unrelated }

  /// The body of the request, without `model`.
  public var body: [UInt8] {
    JSON.object([("input", .array(inputs.map { .string($0) }))]).encoded
  }

  /// Similarities of the texts, for `Agreement.matrix`.
  /// - Returns: `nil` if the host's answer lacks a vector for an input, or the vectors do not
  ///   distinguish the texts.
  public func meanings(in answer: [UInt8]) -> [[Int]]? {
    guard let vectors = Self.vectors(in: answer, count: inputs.count),
      vectors.count == inputs.count
    else { return nil }
    var rest = vectors[...]
    var texts: [[Double]] = []
    for pieces in pieces {
      guard let mean = VectorLikeness.mean(of: Array(rest.prefix(pieces.count))) else { return nil }
      texts.append(mean)
      rest = rest.dropFirst(pieces.count)
    }
    return VectorLikeness.matrix(of: texts, unrelated: Array(rest))
  }

  /// The vectors in the order of the inputs, regardless of their order in the answer.
  /// - Parameter count: the required number of vectors.
  private static func vectors(in answer: [UInt8], count: Int) -> [[Double]]? {
    guard let document = try? JSONDocument(validating: answer),
      let data = document.value("data", in: document.root)
    else { return nil }
    var vectors: [(index: Int, numbers: [Double])] = []
    var isGood = true
    document.forEachElement(of: data) { element in
      isGood = vectors.count < count
      guard isGood, let numbers = numbers(of: element, in: document) else {
        isGood = false
        return false
      }
      let index = document.value("index", in: element).flatMap { document.integer($0) }
      vectors.append((index ?? vectors.count, numbers))
      return true
    }
    guard isGood else { return nil }
    vectors.sort { $0.index < $1.index }
    guard vectors.map(\.index) == Array(vectors.indices) else { return nil }
    return vectors.map(\.numbers)
  }

  /// - Returns: `nil` if there is no vector, or it is longer than any model's.
  private static func numbers(of element: JSONValue, in document: JSONDocument) -> [Double]? {
    guard let vector = document.value("embedding", in: element), vector.kind == .array else {
      return nil
    }
    var numbers: [Double] = []
    document.forEachElement(of: vector) { value in
      if let number = document.number(value) { numbers.append(number) }
      return numbers.count <= Limits.vectorNumbers.value
    }
    return numbers.count <= Limits.vectorNumbers.value ? numbers : nil
  }

  /// Splits a text into pieces, at white space if possible. Keeps only the first and the last
  /// pieces if there are more than `count`.
  private static func pieces(of text: String, atMost count: Int) -> [String] {
    var pieces: [String] = []
    var rest = text[...].drop(while: \.isWhitespace)
    while !rest.isEmpty {
      var piece = rest.cut(toBytes: pieceBytes)
      if piece.endIndex < rest.endIndex, let space = piece.lastIndex(where: \.isWhitespace) {
        piece = piece[..<space]
      }
      pieces.append(String(piece))
      rest = rest[piece.endIndex...].drop(while: \.isWhitespace)
    }
    guard pieces.count > count else { return pieces }
    return pieces.prefix((count + 1) / 2) + pieces.suffix(count / 2)
  }
}
