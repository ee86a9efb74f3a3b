import Limits

/// How far named texts agree, as JSON: the output of a task with the merge rule `agree`.
public struct AgreementReport: Hashable, Sendable {
  /// In the order of the texts.
  public var names: [String]
  /// Result of `Agreement.matrix`, in thousandths.
  public var matrix: [[Int]]

  public init(names: [String], texts: [String]) {
    self.names = names
    matrix = Agreement.matrix(of: texts)
  }

  /// Parses the output of `json`; `nil` for any other text.
  public init?(json: String) {
    guard let document = try? JSONDocument(validating: Array(json.utf8)),
      let names = document.value("names", in: document.root),
      let matrix = document.value("matrix_milli", in: document.root)
    else { return nil }
    // `agree` never compares more texts than a plan has tasks, and the matrix grows with their
    // square.
    var count = 0
    document.forEachElement(of: names) { _ in
      count += 1
      return count <= Limits.planTasks.value
    }
    guard count <= Limits.planTasks.value else { return nil }
    self.names = document.elements(of: names).compactMap { document.string($0) }
    self.matrix = document.elements(of: matrix).map { row in
      document.elements(of: row).compactMap { document.integer($0) }
    }
    guard self.names.count == count, self.matrix.count == count,
      self.matrix.allSatisfy({ row in row.count == count && row.allSatisfy((0...1_000).contains) })
    else { return nil }
  }

  /// Mean similarity of all pairs, in thousandths; 1,000 for fewer than two texts.
  public var meanMilli: Int {
    let pairs = names.count * (names.count - 1)
    guard pairs > 0 else { return 1_000 }
    return (matrix.joined().reduce(0, +) - names.indices.reduce(0) { $0 + matrix[$1][$1] }) / pairs
  }

  /// Similarity of the two texts that differ most, in thousandths.
  public var leastMilli: Int { matrix.joined().min() ?? 1_000 }

  public var weights: [Int] { Agreement.weights(in: matrix) }

  /// Names of texts that agree; larger groups first.
  public var groups: [[String]] {
    Agreement.groups(in: matrix).map { $0.map { names[$0] } }
  }

  /// Similarity of two named texts, in thousandths; `nil` if a name is unknown.
  public func similarityMilli(_ a: String, _ b: String) -> Int? {
    guard let row = names.firstIndex(of: a), let column = names.firstIndex(of: b) else {
      return nil
    }
    return matrix[row][column]
  }

  public var json: String {
    let json = JSON.object([
      ("agreement_milli", .integer(meanMilli)),
      ("least_milli", .integer(leastMilli)),
      ("names", .array(names.map { .string($0) })),
      ("weights_milli", .array(weights.map { .integer($0) })),
      ("groups", .array(groups.map { .array($0.map { .string($0) }) })),
      ("matrix_milli", .array(matrix.map { .array($0.map { .integer($0) }) })),
    ])
    return String(decoding: json.encoded, as: UTF8.self)
  }
}
