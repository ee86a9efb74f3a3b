/// Splits a text into words that ignore case, white space and punctuation.
public enum NormalWords {
  /// The words in order, in lower case. `-3`, `1/2` and `2.5` stay numbers, `1,000` becomes `1000`,
  /// `2.50` becomes `2.5`. Each Chinese or Japanese character is a word, because no space separates
  /// words there.
  public static func words(of text: String) -> [String] {
    // The typographic minus counts as a minus.
    let scalars = text.lowercased().unicodeScalars.map { $0 == "\u{2212}" ? "-" : $0 }
    var words: [String] = []
    var word = String.UnicodeScalarView()
    func end() {
      if !word.isEmpty { words.append(simplified(String(word))) }
      word = String.UnicodeScalarView()
    }
    for (index, scalar) in scalars.enumerated() {
      let properties = scalar.properties
      if isIdeograph(scalar) {
        end()
        words.append(String(Character(scalar)))
      } else if properties.isAlphabetic || properties.numericType != nil
        || properties.generalCategory == .nonspacingMark
      {
        word.append(scalar)
      } else if isWithinWord(scalar, at: index, in: scalars, after: word.last) {
        word.append(scalar)
      } else if isApostrophe(scalar), word.last?.properties.isAlphabetic == true {
        continue
      } else if !isGroupSeparator(scalar, at: index, in: scalars, after: word.last) {
        end()
      }
    }
    end()
    return words
  }

  /// The word itself for a number or an opinion, and `not` for a negation. `nil` means any other
  /// word.
  public static func mark(_ word: String) -> String? {
    if let first = word.unicodeScalars.first,
      isDigit(first) || first == "-" && word.unicodeScalars.count > 1
    {
      return word
    }
    return negations.contains(word) ? "not" : opinions.contains(word) ? word : nil
  }

  private static let negations: Set<String> = [
    "not", "no", "never", "none", "neither", "nor", "cannot", "cant", "dont", "doesnt", "didnt",
    "isnt", "arent", "wasnt", "werent", "wont", "wouldnt", "shouldnt", "couldnt", "hasnt",
    "havent", "hadnt",
  ]
  private static let opinions: Set<String> = ["yes", "true", "false", "correct", "incorrect"]

  private static func isDigit(_ scalar: Unicode.Scalar?) -> Bool {
    scalar.map { ("0"..."9").contains($0) } ?? false
  }

  private static func isApostrophe(_ scalar: Unicode.Scalar) -> Bool {
    scalar == "'" || scalar == "\u{2019}"
  }

  private static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
    (0x3040...0x30FF).contains(scalar.value) || scalar.properties.isIdeographic
  }

  /// Whether the character is a number's sign, point or fraction stroke.
  private static func isWithinWord(
    _ scalar: Unicode.Scalar, at index: Int, in scalars: [Unicode.Scalar],
    after last: Unicode.Scalar?
  ) -> Bool {
    let isBeforeDigit = index + 1 < scalars.count && isDigit(scalars[index + 1])
    guard isBeforeDigit else { return false }
    switch scalar {
    case "-":
      // The sign in "3-4" is a range or a dash; in "x = -4" it belongs to the number.
      return last == nil && (index == 0 || !isClosing(scalars[index - 1]))
    case ".", "/": return isDigit(last)
    default: return false
    }
  }

  private static func isClosing(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isAlphabetic || isDigit(scalar) || scalar == ")"
  }

  /// Whether the character is a comma as in `1,000`, after which exactly three digits follow.
  private static func isGroupSeparator(
    _ scalar: Unicode.Scalar, at index: Int, in scalars: [Unicode.Scalar],
    after last: Unicode.Scalar?
  ) -> Bool {
    guard scalar == ",", isDigit(last), index + 3 < scalars.count else { return false }
    return scalars[(index + 1)...(index + 3)].allSatisfy(isDigit)
      && !(index + 4 < scalars.count && isDigit(scalars[index + 4]))
  }

  /// Turns `42.0` into `42` and `42.50` into `42.5`. Leaves other words unchanged.
  private static func simplified(_ word: String) -> String {
    let parts = word.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ $0.unicodeScalars.allSatisfy(isDigitOrSign) })
    else { return word }
    let fraction = parts[1].reversed().drop { $0 == "0" }.reversed()
    return fraction.isEmpty ? String(parts[0]) : "\(parts[0]).\(String(fraction))"
  }

  private static func isDigitOrSign(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || scalar == "-"
  }
}
