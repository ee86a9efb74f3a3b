import ClusterModel

/// Finds wrong calculations in a text, such as "17 + 25 = 43", without a model.
public enum ArithmeticCheck {
  public struct WrongEquation: Hashable, Sendable {
    /// The equation as written in the text.
    public var written: String
    var right: String

    public init(written: String, right: String) {
      self.written = written
      self.right = right
    }
  }

  private enum Token {
    case number(Double, decimals: Int)
    case operation(Character)
    case equals
    case other
  }

  /// One side of an equals sign: numbers separated by operators.
  private struct Side {
    var terms: [(value: Double, decimals: Int)]
    var operations: [Character] = []
    var range: Range<String.Index>
    /// Whether the text before this side certainly does not belong to the calculation.
    var isWhole: Bool
    /// Whether a dash before the side may be its sign or a list bullet.
    var isMaybeNegative = false

    var isComplete: Bool { terms.count == operations.count + 1 }
  }

  /// Maximum mistakes to report. A text with more mistakes is not a calculation.
  static let maximumFound = 8
  private static let readBytes = 256 << 10

  /// Reports only certain mistakes.
  /// A calculation is skipped if text before or after it may belong to it.
  public static func wrongEquations(in text: String) -> [WrongEquation] {
    var found: [WrongEquation] = []
    let text = text.cut(toBytes: readBytes)
    var left: Side?
    var side: Side?
    var isAfterEquals = false
    func judge() {
      if let left, let side, let wrong = wrongEquation(left, side, in: text) {
        found.append(wrong)
      }
    }
    func reset() { (left, side, isAfterEquals) = (nil, nil, false) }
    forEachToken(in: text) { token, range in
      switch token {
      case .number(let value, let decimals):
        if var begun = side, !begun.isComplete {
          begun.terms.append((value, decimals))
          begun.range = begun.range.lowerBound..<range.upperBound
          side = begun
        } else {
          // Two numbers in a row, as in "2 1/2 + 3", have no certain meaning.
          let before = side == nil && !isAfterEquals ? opening(text, range.lowerBound) : nil
          if side != nil { left = nil }
          side = Side(
            terms: [(value, decimals)], range: range,
            isWhole: side == nil && isAfterEquals || before != nil,
            isMaybeNegative: before == .dash)
        }
        isAfterEquals = false
      case .operation(let sign):
        if var begun = side, begun.isComplete, begun.terms.count < 64 {
          begun.operations.append(sign)
          side = begun
        } else {
          reset()
        }
      case .equals:
        if side?.isComplete == true { judge() }
        if !isAfterEquals { left = side?.isComplete == true ? side : nil }
        side = nil
        isAfterEquals = true
      case .other:
        if let side, closes(text, side.range.upperBound) { judge() }
        reset()
      }
      return found.count < maximumFound
    }
    if found.count < maximumFound { judge() }
    return found
  }

  private static func wrongEquation(_ left: Side, _ right: Side, in text: String) -> WrongEquation?
  {
    guard left.isWhole, !left.operations.isEmpty, right.isComplete, right.operations.isEmpty,
      let result = right.terms.first
    else { return nil }
    let values = left.terms.map(\.value)
    func isRight(_ sum: Double?) -> Bool {
      guard let sum else { return true }
      return isEqual(sum, result.value, result.decimals)
        // Integer division is accepted: "19 / 5 = 3".
        || left.operations.contains("/") && result.value == sum.rounded(.towardZero)
    }
    let sum = computed(values, left.operations)
    guard let sum, !isRight(sum) else { return nil }
    if left.isMaybeNegative, isRight(computed([-values[0]] + values[1...], left.operations)) {
      return nil
    }
    let decimals = max(result.decimals, left.terms.map(\.decimals).max() ?? 0)
    return WrongEquation(
      written: String(text[left.range.lowerBound..<right.range.upperBound]),
      right: shown(sum, decimals))
  }

  /// Computes × and ÷ before + and −. `nil` means that the result is undefined or too large.
  private static func computed(_ terms: [Double], _ operations: [Character]) -> Double? {
    var sums: [Double] = [terms[0]]
    for (index, sign) in operations.enumerated() {
      let value = terms[index + 1]
      switch sign {
      case "+": sums.append(value)
      case "-": sums.append(-value)
      case "*": sums[sums.count - 1] *= value
      default:
        guard value != 0 else { return nil }
        sums[sums.count - 1] /= value
      }
    }
    let sum = sums.reduce(0, +)
    return sum.isFinite && sum.magnitude < 1e15 ? sum : nil
  }

  /// Whether the results are equal within the rounding of the written decimals.
  private static func isEqual(_ right: Double, _ written: Double, _ decimals: Int) -> Bool {
    let step = (0..<min(decimals, 12)).reduce(1.0) { step, _ in step / 10 }
    // A whole number must be exact if the right result is whole.
    if decimals == 0, right == right.rounded() { return right == written }
    return (right - written).magnitude <= step * 0.500001
  }

  private static func shown(_ value: Double, _ decimals: Int) -> String {
    if value == value.rounded() { return "\(Int(value))" }
    let digits = max(min(decimals, 6), 2)
    let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
    return "\((value * scale).rounded() / scale)"
  }

  // MARK: - Surrounding text

  private enum Opening { case plain, dash }

  /// Words that act as operators. A number after such a word does not begin a calculation.
  private static let operators: Set<String> = [
    "by", "choose", "durch", "mal", "minus", "mod", "negative", "of", "over", "plus", "root",
    "sqrt", "times", "von",
  ]

  /// Maximum characters to look at on each side, because a line may be as long as the text.
  private static let nearby = 40

  /// Checks the text before a calculation: it must be empty or end with a word or mark that cannot
  /// belong to the calculation. `nil` means that the text may belong to the calculation.
  private static func opening(_ text: String, _ start: String.Index) -> Opening? {
    let line = text[..<start].suffix(nearby).suffix(while: { !$0.isNewline })
    let before = line.trimmingEnd { isPassedOver($0) }
    guard let last = before.last else { return .plain }
    let isApart = before.endIndex < line.endIndex
    let isFirst = before.dropLast().allSatisfy { $0.isWhitespace }
    switch last {
    case "*":
      if isApart { return isFirst ? .plain : nil }
      // `**` marks bold text, or a power after an operand.
      let base = before.dropLast(2).last
      return before.hasSuffix("**") && base.map { $0.isLetter || $0.isNumber || $0 == ")" } != true
        ? .plain : nil
    case "-", "–": return isApart && isFirst ? .dash : nil
    case ".", ",", "!", "?": return isApart ? .plain : nil
    default: if ":;([|>#•—`'\"“„‘«\t".contains(last) { return .plain }
    }
    let word = before.suffix(while: { $0.isLetter })
    // A single letter is a variable, and a LaTeX command is an operator.
    guard word.count > 1, !operators.contains(word.lowercased()),
      text[..<word.startIndex].last != "\\"
    else { return nil }
    return .plain
  }

  /// Whether the text after a result cannot belong to the calculation.
  private static func closes(_ text: String, _ end: String.Index) -> Bool {
    let rest = text[end...].prefix(nearby).prefix { !$0.isNewline }
    let after = rest.drop { isPassedOver($0) }
    guard let next = after.first else { return true }
    if next.isLetter { return after.prefix { $0.isLetter }.count > 1 }
    let isApart = after.startIndex > rest.startIndex
    switch next {
    case "*":
      let following = after.dropFirst(2).first
      return !isApart && after.hasPrefix("**")
        && following.map { $0.isLetter || $0.isNumber || $0 == "(" } != true
    // "0.14…" is truncated, not rounded.
    case ".": return !after.dropFirst().hasPrefix(".")
    default: return ",;:?)]}|<—`'\"”’»\t".contains(next)
    }
  }

  private static func isPassedOver(_ character: Character) -> Bool {
    switch character {
    case " ", "\u{A0}", "$", "€", "£", "\\": true
    default: false
    }
  }

  // MARK: - Reading

  private static func forEachToken(
    in text: String, _ body: (Token, Range<String.Index>) -> Bool
  ) {
    var index = text.startIndex
    while index < text.endIndex {
      let character = text[index]
      let start = index
      index = text.index(after: index)
      let token: Token
      switch character {
      case "0"..."9":
        while index < text.endIndex, isNumeric(text, index) { index = text.index(after: index) }
        // "3rd" and "v2" are not numbers.
        let isWord = index < text.endIndex && text[index].isLetter && text[index] != "x"
        token = isWord ? .other : number(text[start..<index])
      case "-", "−", "–": token = .operation("-")
      // `**` is bold text or a power; a single `*` is a product.
      case "*" where index < text.endIndex && text[index] == "*":
        index = text.index(after: index)
        token = .other
      case "+", "*": token = .operation(character)
      case "×", "·", "x": token = .operation("*")
      case "/", "÷": token = .operation("/")
      case "=": token = .equals
      case _ where isPassedOver(character): continue
      default: token = .other
      }
      guard body(token, start..<index) else { return }
    }
  }

  /// Whether the character is a digit, or a point or comma followed by a digit.
  private static func isNumeric(_ text: String, _ index: String.Index) -> Bool {
    let character = text[index]
    if character.isASCII, character.isNumber { return true }
    guard character == "." || character == "," else { return false }
    let next = text.index(after: index)
    return next < text.endIndex && text[next].isASCII && text[next].isNumber
  }

  private static func number(_ written: Substring) -> Token {
    let parts = written.split(separator: ".", omittingEmptySubsequences: false)
    let groups = parts[0].split(separator: ",", omittingEmptySubsequences: false)
    // A comma that does not separate thousands is a decimal comma, or part of a list.
    guard parts.count <= 2, groups.dropFirst().allSatisfy({ $0.count == 3 }),
      let value = Double(written.filter { $0 != "," })
    else { return .other }
    return .number(value, decimals: parts.count == 2 ? parts[1].count : 0)
  }
}

extension Substring {
  /// The longest suffix whose characters all match.
  fileprivate func suffix(while isSuch: (Character) -> Bool) -> Substring {
    self[(lastIndex { !isSuch($0) }.map { index(after: $0) } ?? startIndex)...]
  }

  fileprivate func trimmingEnd(_ isSuch: (Character) -> Bool) -> Substring {
    self[..<(lastIndex { !isSuch($0) }.map { index(after: $0) } ?? startIndex)]
  }
}
