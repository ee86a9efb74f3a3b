/// Measures how far texts agree, by their words and, if available, by embedding vectors.
///
/// A short text either agrees with another text or has similarity 0. Two long texts are compared by
/// word pairs and character trigrams. Numbers, negations, words such as `yes`, and the answer that
/// a text names weigh more than the rest. The same texts give the same figures on every machine.
///
/// Both measures have faults. By words, two texts with the same meaning in other words differ. By
/// vectors, a sentence is similar to its negation. Use the figures to weigh texts, never to discard
/// one.
public enum Agreement {
  /// Maximum bytes compared per text. Only the beginning and the end of a longer text are compared,
  /// half of the bytes each. So 16 texts are compared within milliseconds.
  static let comparedBytes = 16 * 1024
  /// Least similarity, in thousandths, at which two texts count as agreeing.
  static let sameMilli = 600
  /// `sameMilli` for texts with known vectors. With this value and `meaningShare`, most of 34
  /// labelled triples of texts are classified correctly, both with MiniLM and with E5.
  public static let sameMeaningMilli = 375
  /// Weight of vector similarity. Word similarity has weight 1. Vectors weigh more, because two
  /// prose texts that agree share few words.
  static let meaningShare = 3
  /// Least weight of a text, because a text that agrees with no other may still be right.
  public static let leastWeightMilli = 50

  /// - Returns: 0 (nothing in common, or a short text with another answer) to 1,000 (the same
  ///   words, or two short texts with the same answer).
  public static func similarityMilli(_ a: String, _ b: String) -> Int {
    ComparedText(a).similarityMilli(to: ComparedText(b))
  }

  /// The similarity of every pair of texts, in thousandths. The diagonal is 1,000.
  /// - Parameter meanings: result of `VectorLikeness.matrix` for the same texts. `nil` means that
  ///   only words are compared.
  public static func matrix(of texts: [String], meanings: [[Int]]? = nil) -> [[Int]] {
    let compared = texts.map { ComparedText($0) }
    var matrix = compared.map { _ in [Int](repeating: 1_000, count: compared.count) }
    for row in compared.indices {
      for column in compared.indices where column < row {
        let similarity = compared[row].similarityMilli(
          to: compared[column], meaningMilli: meanings?[row][column])
        matrix[row][column] = similarity
        matrix[column][row] = similarity
      }
    }
    return matrix
  }

  /// Groups texts that agree, directly or through other texts.
  /// - Returns: indices of the texts in each group. Larger groups come first, groups of equal size
  ///   in the order of their first texts.
  static func groups(in matrix: [[Int]], sameMilli: Int = sameMilli) -> [[Int]] {
    var group = Array(matrix.indices)
    for row in matrix.indices {
      for column in matrix.indices
      where column < row && matrix[row][column] >= sameMilli && group[row] != group[column] {
        let (from, to) = (max(group[row], group[column]), min(group[row], group[column]))
        for index in group.indices where group[index] == from { group[index] = to }
      }
    }
    var members: [Int: [Int]] = [:]
    for index in matrix.indices { members[group[index], default: []].append(index) }
    return members.values.sorted { ($1.count, $0[0]) < ($0.count, $1[0]) }
  }

  /// Each text's mean similarity to the other texts, in thousandths, at least `leastWeightMilli`. A
  /// lone text has 1,000.
  public static func weights(in matrix: [[Int]]) -> [Int] {
    guard matrix.count > 1 else { return matrix.map { _ in 1_000 } }
    return matrix.indices.map { row in
      let others = matrix[row].reduce(0, +) - matrix[row][row]
      return max(leastWeightMilli, others / (matrix.count - 1))
    }
  }

  public static func weights(of texts: [String]) -> [Int] { weights(in: matrix(of: texts)) }
}
