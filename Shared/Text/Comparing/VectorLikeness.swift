import Limits

/// Similarity of texts by their embedding vectors, on one scale for all models.
///
/// A cosine alone means little: for unrelated texts, MiniLM gives 0.0 and E5 gives 0.8. So the
/// model also embeds texts on unrelated topics. The mean cosine between these and the compared
/// texts becomes 0 on the scale. A cosine of 1 stays 1.
public enum VectorLikeness {
  /// Texts on different topics, in plain words that models have read often. There are four, because
  /// the topic of a draft may be near one of them.
  public static let unrelated = [
    "The train to the coast leaves at seven in the morning from the third platform.",
    "Add the flour slowly, then knead the dough until it no longer sticks.",
    "The function returns an error when the file cannot be opened.",
    "Her grandmother kept letters from the war in a wooden box.",
  ]
  /// Maximum mean similarity to the unrelated texts. A model with a higher mean does not
  /// distinguish texts.
  static let highestFloor = 0.95

  /// Similarity of each pair of texts, in thousandths. It is 1,000 on the diagonal. 0 means that
  /// two texts are no more similar than unrelated ones.
  ///
  /// - Parameters:
  ///   - vectors: vectors of the texts, in order.
  ///   - unrelated: the same model's vectors of `unrelated`.
  /// - Returns: `nil` if the vectors cannot be compared, because their lengths differ, one has no
  ///   direction or too many numbers, or all point the same way.
  public static func matrix(of vectors: [[Double]], unrelated: [[Double]]) -> [[Int]]? {
    guard let vectors = directions(vectors), let unrelated = directions(unrelated),
      let length = (vectors + unrelated).first?.count,
      (vectors + unrelated).allSatisfy({ $0.count == length })
    else { return nil }
    let floors = vectors.flatMap { vector in unrelated.map { dot(vector, $0) } }
    let floor = floors.isEmpty ? 0 : max(0, floors.reduce(0, +) / Double(floors.count))
    guard floor < highestFloor else { return nil }
    return vectors.indices.map { row in
      vectors.indices.map { column in
        guard row != column else { return 1_000 }
        // Products of the same numbers in the same order make the matrix symmetric to the last bit.
        let cosine = dot(vectors[min(row, column)], vectors[max(row, column)])
        return Int(clamping: (max(0, min(1, (cosine - floor) / (1 - floor))) * 1_000).rounded())
      }
    }
  }

  /// The mean direction of the pieces of a text. `nil` means that there are no pieces or that their
  /// vectors cannot be compared.
  public static func mean(of pieces: [[Double]]) -> [Double]? {
    guard let directions = directions(pieces), let first = directions.first,
      directions.allSatisfy({ $0.count == first.count })
    else { return nil }
    return first.indices.map { place in directions.reduce(0) { $0 + $1[place] } }
  }

  /// Scales each vector to length 1. `nil` means that a vector is empty, has too many numbers, or
  /// has no direction.
  private static func directions(_ vectors: [[Double]]) -> [[Double]]? {
    var directions: [[Double]] = []
    for vector in vectors {
      guard vector.count <= Limits.vectorNumbers.value else { return nil }
      let length = dot(vector, vector).squareRoot()
      guard length.isFinite, length > 0 else { return nil }
      directions.append(vector.map { $0 / length })
    }
    return directions
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
  }
}
