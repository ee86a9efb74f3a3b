import ClusterModel

/// Sums that a text gets wrong: "17 + 25 = 43". What can be computed need not be asked of a model.
public enum ArithmeticCheck {
  public struct WrongEquation: Hashable, Sendable {
    /// As it stands in the text.
    public var written: String
    public var right: String

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

  /// More are not told: the text is no calculation.
  static let maximumFound = 8
  private static let readBytes = 256 << 10

  public static func wrongEquations(in text: String) -> [WrongEquation] {
    var found: [WrongEquation] = []
    let text = text.cut(toBytes: readBytes)
    var terms: [(value: Double, decimals: Int)] = []
    var operations: [Character] = []
    var start: String.Index?
    var afterEquals = false
    func reset() {
      terms = []
      operations = []
      start = nil
      afterEquals = false
    }
    forEachToken(in: text) { token, range in
      switch token {
      case .number(let value, let decimals):
        if afterEquals, let from = start {
          let right = computed(terms.map(\.value), operations)
          let scale = max(decimals, terms.map(\.decimals).max() ?? 0)
          if let right, !isEqual(right, value, decimals) {
            found.append(
              WrongEquation(
                written: String(text[from..<range.upperBound]), right: shown(right, scale)))
          }
          reset()
        } else if terms.count == operations.count {
          start = start ?? range.lowerBound
          terms.append((value, decimals))
        } else {
          reset()
          start = range.lowerBound
          terms = [(value, decimals)]
        }
      case .operation(let sign):
        if !afterEquals, terms.count == operations.count + 1, terms.count < 64 {
          operations.append(sign)
        } else {
          reset()
        }
      case .equals:
        if !operations.isEmpty, terms.count == operations.count + 1 {
          afterEquals = true
        } else {
          reset()
        }
      case .other: reset()
      }
      return found.count < maximumFound
    }
    return found
  }

  /// × and ÷ before + and −; nil: nobody can say.
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

  /// Within what rounding to the decimals that are written may do.
  private static func isEqual(_ right: Double, _ written: Double, _ decimals: Int) -> Bool {
    let step = (0..<min(decimals, 12)).reduce(1.0) { step, _ in step / 10 }
    // A whole number is meant exactly, unless the right one has a fraction.
    if decimals == 0, right == right.rounded() { return right == written }
    return (right - written).magnitude <= step * 0.500001
  }

  private static func shown(_ value: Double, _ decimals: Int) -> String {
    if value == value.rounded() { return "\(Int(value))" }
    let digits = max(min(decimals, 6), 2)
    let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
    return "\((value * scale).rounded() / scale)"
  }

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
        // "3rd", "v2": no number to count with.
        let isWord = index < text.endIndex && text[index].isLetter && text[index] != "x"
        token = isWord ? .other : number(text[start..<index])
      case "+", "*": token = .operation(character)
      case "-", "−", "–": token = .operation("-")
      case "×", "·", "x": token = .operation("*")
      case "/", "÷": token = .operation("/")
      case "=": token = .equals
      case " ", "\u{A0}", "$", "€", "£", "\\": continue
      default: token = .other
      }
      guard body(token, start..<index) else { return }
    }
  }

  /// A digit, or a point or comma with a digit behind it.
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
    // A comma that does not part thousands is a decimal comma, or a list.
    guard parts.count <= 2, groups.dropFirst().allSatisfy({ $0.count == 3 }),
      let value = Double(written.filter { $0 != "," })
    else { return .other }
    return .number(value, decimals: parts.count == 2 ? parts[1].count : 0)
  }
}
