import Limits

/// How near to each other an embedding model places texts, on one scale for all models.
///
/// A cosine by itself says little: of texts that have nothing to do with each other one model says
/// 0.0 (MiniLM), another 0.8 (E5). So the model is also given texts that are about something else
/// for certain; as near as those are is not near at all, and the scale is stretched above it.
public enum VectorLikeness {
  /// Each about something else, in the plain words of which models have read most. Four of them,
  /// because what one draft happens to be about may be near to one.
  public static let unrelated = [
    "The train to the coast leaves at seven in the morning from the third platform.",
    "Add the flour slowly, then knead the dough until it no longer sticks.",
    "The function returns an error when the file cannot be opened.",
    "Her grandmother kept letters from the war in a wooden box.",
  ]
  /// A model that places everything this near together tells nothing apart.
  static let highestFloor = 0.95

  /// How near each text is to each, in thousandths, 1,000 on the diagonal; not nearer than the
  /// unrelated ones is 0.
  ///
  /// - Parameters:
  ///   - vectors: of the texts, in their order.
  ///   - unrelated: what the same model makes of `unrelated`.
  /// - Returns: nil when the vectors cannot be compared: lengths differ, one has no direction, or
  ///   all point the same way.
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
        // Products of the same numbers in the same order: the matrix is symmetric to the last bit.
        let cosine = dot(vectors[min(row, column)], vectors[max(row, column)])
        return Int(clamping: (max(0, min(1, (cosine - floor) / (1 - floor))) * 1_000).rounded())
      }
    }
  }

  /// The direction that most of the pieces of a text point in; nil: none, or they cannot be compared.
  public static func mean(of pieces: [[Double]]) -> [Double]? {
    guard let directions = directions(pieces), let first = directions.first,
      directions.allSatisfy({ $0.count == first.count })
    else { return nil }
    return first.indices.map { place in directions.reduce(0) { $0 + $1[place] } }
  }

  /// Each with the length 1; nil: one is empty, zero or no number.
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
