/// How far texts say the same: by the words that they share, and where somebody has asked an
/// embedding model, by what that makes of them.
///
/// Short texts agree or do not. Long ones are compared by their pairs of words and their runs of three
/// characters; what decides a text (its numbers, its negations, the answer that it names) weighs more
/// than the words around it. The same texts give the same figures on every machine.
///
/// Words alone are not meanings: two texts that say the same in other words come out as different.
/// Vectors alone are not, either: they place a sentence beside its negation. Figures are for
/// weighing, never for throwing away.
public enum Agreement {
  /// Of each text, half from its beginning and half from its end: as much as a long answer has, and
  /// little enough that 16 texts are compared within milliseconds.
  public static let comparedBytes = 16 * 1024
  /// From here on two texts count as saying the same, in thousandths.
  public static let sameMilli = 600
  /// The same of texts whose vectors are known, in thousandths: of 34 labelled triples of texts, this
  /// and the share below get most right with two models as unlike as MiniLM and E5.
  public static let sameMeaningMilli = 375
  /// How often vectors count for what words count once. In prose, texts that say the same share
  /// hardly more words than any other two.
  static let meaningShare = 3
  /// A text that nobody agrees with may still be the one that is right.
  public static let leastWeightMilli = 50

  /// - Returns: 0 (nothing in common) to 1,000 (the same, but for case, white space and punctuation).
  public static func similarityMilli(_ a: String, _ b: String) -> Int {
    ComparedText(a).similarityMilli(to: ComparedText(b))
  }

  /// The similarity of each text to each, 1,000 on the diagonal.
  /// - Parameter meanings: as `VectorLikeness.matrix` has it, of the same texts; nil: words alone
  ///   decide.
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

  /// Texts that say the same, directly or by others in between: indices, the largest group first, of
  /// equal ones the one that begins first.
  public static func groups(in matrix: [[Int]], sameMilli: Int = sameMilli) -> [[Int]] {
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

  /// Each text's mean similarity to the others, in thousandths; a lone text's is 1,000.
  public static func weights(in matrix: [[Int]]) -> [Int] {
    guard matrix.count > 1 else { return matrix.map { _ in 1_000 } }
    return matrix.indices.map { row in
      let others = matrix[row].reduce(0, +) - matrix[row][row]
      return max(leastWeightMilli, others / (matrix.count - 1))
    }
  }

  public static func weights(of texts: [String]) -> [Int] { weights(in: matrix(of: texts)) }
}
