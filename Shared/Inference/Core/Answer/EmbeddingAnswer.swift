import Limits
import Text

/// Checks that an embeddings answer has one vector for each text that was sent.
enum EmbeddingAnswer {
  /// Checks a body of `/v1/embeddings`.
  ///
  /// - Parameter vectors: number of vectors that the request asks for. `nil` means that the number
  ///   is unknown.
  static func check(_ json: inout HostJSON, vectors: Int?) throws(AttemptFailure) {
    guard let vectors else { return }
    var count = 0
    let data = try json.values(["data"], in: json.root)[0]
    guard let elements = try json.elements(of: data, "data") else {
      throw .garbage("no embeddings")
    }
    for element in elements {
      count += 1
      guard element.kind == .object else { throw .garbage("an embedding that is not an object") }
      guard count <= vectors else { break }
    }
    guard count == vectors else { throw wrongCount(vectors) }
  }

  static func wrongCount(_ vectors: Int) -> AttemptFailure {
    .garbage("a number of embeddings other than the \(vectors) that were requested")
  }
}
