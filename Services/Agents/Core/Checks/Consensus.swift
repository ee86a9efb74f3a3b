public import ClusterModel
import Text

/// Agreement of the texts that a task merges, for the task's model and for the trace.
/// The model gets a sentence, because a small model cannot interpret 0.43. No text is omitted, even
/// if two of three agree.
public struct Consensus: Equatable, Sendable {
  /// How the texts were compared.
  public enum Basis: String, Sendable {
    case words
    case wordsAndEmbedding = "words and embedding"
  }

  public let basis: Basis
  private let names: [String]
  /// For each text, how far the other texts agree with it, in thousandths.
  let weights: [Int]
  /// For each text, the number of other texts that mostly agree with it.
  private let agreeing: [Int]

  /// Uses the word comparison that the dispatcher put into the order.
  /// - Returns: `nil` if fewer than two inputs have weights.
  public init?(weighed inputs: [TaskOrder.NamedInput]) {
    let weighed = inputs.filter { $0.weightMilli != nil }
    guard weighed.count > 1 else { return nil }
    let others = weighed.count - 1
    let weights = weighed.map { max(0, min(1_000, $0.weightMilli ?? 0)) }
    basis = .words
    names = weighed.map(\.name)
    self.weights = weights
    // A weight is a text's mean agreement with the other texts. Multiplied by the number of other
    // texts, it estimates how many of them agree.
    agreeing = weights.map { ($0 * others + 500) / 1_000 }
  }

  /// Compares by words and by embeddings.
  /// - Parameter meanings: similarities of the inputs, in their order
  ///   (`ConsensusQuestion.meanings`).
  public init(of inputs: [TaskOrder.NamedInput], meanings: [[Int]]) {
    let matrix = Agreement.matrix(of: inputs.map(\.text), meanings: meanings)
    basis = .wordsAndEmbedding
    names = inputs.map(\.name)
    weights = Agreement.weights(in: matrix)
    agreeing = matrix.map { row in row.count { $0 >= Agreement.sameMeaningMilli } - 1 }
  }

  /// Names of the texts that differ from the majority; empty if all agree or there is no majority.
  public var dissent: [String] {
    guard let leaders = majority else { return [] }
    return names.indices.filter { !leaders.contains($0) }.map { names[$0] }
  }

  private var areAllAlike: Bool { agreeing.allSatisfy { $0 == names.count - 1 } }

  /// The largest group of texts that agree. `nil` means that no group is the largest, or that all
  /// texts agree.
  private var majority: [Int]? {
    let most = agreeing.max() ?? 0
    let leaders = names.indices.filter { agreeing[$0] == most }
    guard most > 0, leaders.count == most + 1, leaders.count < names.count else { return nil }
    return leaders
  }

  /// The sentence for the model's prompt.
  public var text: String {
    let all = Self.word(names.count)
    if areAllAlike {
      return names.count == 2 ? "Both say much the same." : "All \(all) say much the same."
    }
    guard agreeing.contains(where: { $0 > 0 }) else {
      return Self.capitalised(all) + " texts follow that differ from each other. "
        + "Judge each by what it says."
    }
    guard let leaders = majority else {
      return Self.capitalised(all)
        + " texts follow; some of them say much the same, others differ. "
        + "Judge each by what it says."
    }
    let rest = dissent
    return "\(Self.capitalised(Self.word(leaders.count))) of \(all) say much the same. "
      + "\(Self.list(rest)) \(rest.count == 1 ? "says" : "say") something else: "
      + "do not pass over what may be right in it."
  }

  /// For the trace: "Draft 1 0.61, Draft 2 0.58, Draft 3 0.12".
  public var weightsText: String {
    zip(names, weights).map { name, weight in
      let hundredths = "\((weight + 5) / 10)"
      return weight >= 995
        ? "\(name) 1.00"
        : "\(name) 0." + String(repeating: "0", count: 2 - hundredths.utf8.count) + hundredths
    }.joined(separator: ", ")
  }

  private static let numbers = [
    "none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
  ]

  private static func word(_ count: Int) -> String {
    numbers.indices.contains(count) ? numbers[count] : "\(count)"
  }

  private static func capitalised(_ text: String) -> String {
    text.prefix(1).uppercased() + text.dropFirst()
  }

  private static func list(_ names: [String]) -> String {
    guard names.count > 1, let last = names.last else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " and " + last
  }
}
