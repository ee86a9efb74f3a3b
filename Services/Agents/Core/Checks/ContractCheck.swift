public import ClusterModel
import Text

/// Checks a model's output against its task's contract. Accepts any input, and takes linear time.
public enum ContractCheck {
  public enum Verdict: Equatable, Sendable {
    /// The valid output, without the text around it.
    case met(String)
    /// A sentence that explains the mistake to the model, for a repair.
    case broken(String)
  }

  public static func check(_ text: String, against contract: OutputContract) -> Verdict {
    switch contract {
    case .text: return .met(text)
    case .json(let schema): return checkJSON(text, schema)
    case .choice(let words):
      if let word = NearestWord.of(text, among: words) { return .met(word) }
      return .broken("it must be exactly one of: \(words.joined(separator: ", "))")
    case .vector: return checkJSON(text, #"{"type":"array","items":{"type":"number"}}"#)
    }
  }

  private static func checkJSON(_ text: String, _ written: String) -> Verdict {
    let schema = ContractSchema(written) ?? ContractSchema()
    let bytes = Array(text.utf8)
    // A value without brackets can be distinguished from prose only if it is the whole text.
    if let whole = try? JSONDocument(validating: bytes) {
      return verdict(on: whole.root, in: whole, schema)
    }
    var other: JSONValue?
    let found = JSONSearch.first(in: bytes) { value in
      other = other ?? value
      return schema.takes(value.kind)
    }
    // If the outer object is broken, an intact array inside it is not the answer.
    let isBroken =
      bytes.contains(UInt8(ascii: "{")) && schema.takes(.object)
      || bytes.contains(UInt8(ascii: "[")) && schema.takes(.array)
    if found == nil, isBroken, let cut = cutOff(bytes, schema) { return .met(cut) }
    guard let value = found ?? (isBroken ? nil : other),
      let document = try? JSONDocument(validating: Array(bytes[value.range]))
    else {
      return .broken(isBroken ? "its JSON is not valid or not whole" : "there is no JSON in it")
    }
    return verdict(on: document.root, in: document, schema)
  }

  /// Returns the intact part of truncated JSON if it fits the schema.
  /// For example, a model that ran out of tokens in its eighth issue has written seven issues.
  private static func cutOff(_ bytes: [UInt8], _ schema: ContractSchema) -> String? {
    let opening = bytes.firstIndex {
      $0 == UInt8(ascii: "{") && schema.takes(.object)
        || $0 == UInt8(ascii: "[") && schema.takes(.array)
    }
    guard let opening else { return nil }
    for part in JSONMending.closed(bytes, from: opening) {
      guard let document = try? JSONDocument(validating: part),
        schema.mistake(in: document.root, document) == nil
      else { continue }
      return String(decoding: part, as: UTF8.self)
    }
    return nil
  }

  private static func verdict(
    on value: JSONValue, in document: JSONDocument, _ schema: ContractSchema
  ) -> Verdict {
    if let mistake = schema.mistake(in: value, document) { return .broken(mistake) }
    return .met(String(decoding: document.slice(value), as: UTF8.self))
  }
}

/// Finds which of the allowed words an answer means.
enum NearestWord {
  /// Maximum bytes to search. Text after them is an argument and not a choice.
  private static let readBytes = 4_096
  private static let shortAnswerScalars = 64

  /// - Returns: `nil` if the text means no word, or may mean several.
  static func of(_ text: String, among words: [String]) -> String? {
    let answer = plain(text.cut(toBytes: readBytes))
    let known = words.map { (word: $0, plain: plain($0)) }
    if let exact = known.first(where: { $0.plain == answer }) { return exact.word }
    let padded = " \(answer) "
    var found: [String] = []
    for word in known where !word.plain.isEmpty && padded.contains(" \(word.plain) ") {
      found.append(word.word)
    }
    // If "agree" and "do not agree" both match, the model wrote the longer one.
    let longest = found.filter { word in
      !found.contains { $0 != word && " \(plain($0)) ".contains(" \(plain(word)) ") }
    }
    if longest.count == 1 { return longest[0] }
    if longest.count > 1 {
      // In "B, because A is wrong" the answer comes first.
      return longest.first { " \(answer)".hasPrefix(" \(plain($0)) ") }
    }
    return misspelt(answer, known)
  }

  /// Returns the text in lower case, without punctuation, with one space between words.
  private static func plain(_ text: String) -> String {
    var words = ""
    var isApart = false
    for character in text.lowercased() {
      if character.isLetter || character.isNumber || character == "+" || character == "-" {
        if isApart, !words.isEmpty { words.append(" ") }
        isApart = false
        words.append(character)
      } else {
        isApart = true
      }
    }
    return words
  }

  private static func misspelt(_ answer: String, _ known: [(word: String, plain: String)])
    -> String?
  {
    // Only a short answer can be a misspelt word. The length is counted in scalars, because a
    // character may have any number of combining marks. Bytes are not compared, because words of
    // other scripts share most of their bytes.
    let answer = Array(answer.unicodeScalars.prefix(shortAnswerScalars + 1))
    guard !answer.isEmpty, answer.count <= shortAnswerScalars else { return nil }
    var work = 0
    let near = known.compactMap { word, plain -> (word: String, distance: Int)? in
      let plain = Array(plain.unicodeScalars.prefix(2 * shortAnswerScalars))
      let limit = min(plain.count, answer.count) / 4
      return NearNames.distance(answer, plain, atMost: limit, work: &work).map { (word, $0) }
    }
    guard let best = near.map(\.distance).min() else { return nil }
    let nearest = near.filter { $0.distance == best }
    return nearest.count == 1 ? nearest[0].word : nil
  }
}
