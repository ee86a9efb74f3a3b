import ClusterModel
import Limits
import Text

/// What an embedding model is asked of texts that are to be compared: one request for all of them,
/// and for some that have nothing to do with them (`VectorLikeness`).
public struct ConsensusQuestion: Sendable {
  /// Bytes. Small embedding models read 256 tokens and leave out the rest, or refuse it.
  static let pieceBytes = 1_000
  /// Of a longer text, its beginning and its end.
  static let piecesOfText = 4
  /// Servers take no more in one request: 32 is what text-embeddings-inference allows unless told
  /// otherwise.
  static let maximumPieces = 32

  private let pieces: [[String]]

  /// - Returns: nil when there are fewer than two texts, one is empty, or they are too many for one
  ///   request.
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

  /// How near the texts are to each other, as `Agreement.matrix` takes it.
  /// - Returns: nil when the host's answer does not hold a vector for each input, or they tell nothing
  ///   apart.
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

  /// In the order of their inputs, whatever order the host gives them in.
  /// - Parameter count: how many there must be.
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

  /// - Returns: `nil` when there is no vector, or one that no model gives.
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

  /// Split at white space where there is some.
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
