import ClusterModel

/// How a host behaves when it resumes a text that another host began.
public enum ResumingPersonality: String, CaseIterable, Sendable {
  /// Continues exactly at the first byte after the prefix.
  case oracle
  /// Omits leading white space.
  case stripsSpace
  /// Repeats the last words of the prefix.
  case repeatsTail
  /// Repeats the last dozen bytes of the prefix, which may begin within a word.
  case repeatsDozen
  case restartsSentence
  case restartsAnswer
  /// Announces the continuation: "Sure, here is the continuation:". Omits leading white space.
  case announces
  /// Announces the continuation, and then repeats the last words of the prefix.
  case announcesAndRepeats
  /// Restarts the answer. JSON gets different white space.
  case reindents
  /// Restarts JSON within a code fence. In other texts, reopens the code fence that the cut was in.
  case refences
}

enum ResumingWriter {
  /// The host's output if the request gives it `prefix`, the beginning of `full`.
  static func text(
    full: String, prefix: [UInt8], _ personality: ResumingPersonality, seed: UInt64
  ) -> String {
    let whole = Array(full.utf8)
    var rng = SplitMix64(seed: seed)
    let rest = String(decoding: whole[prefix.count...], as: UTF8.self)
    func from(_ index: Int) -> String { String(decoding: whole[index...], as: UTF8.self) }
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A }
    /// Start of the last word that begins at least `back` bytes before the end of the prefix.
    func wordStart(_ back: Int) -> Int {
      var index = max(prefix.count - back, 0)
      while index > 0, !isSpace(whole[index - 1]) { index -= 1 }
      return index
    }
    let tail = wordStart(Int.random(in: 12...80, using: &rng))
    switch personality {
    case .oracle: return rest
    case .stripsSpace: return String(rest.drop { $0 == " " || $0 == "\n" })
    case .repeatsTail: return from(tail)
    case .repeatsDozen:
      var index = max(prefix.count - 12, 0)
      while index > 0, whole[index] & 0xC0 == 0x80 { index -= 1 }
      return from(index)
    case .restartsSentence:
      var index = max(prefix.count - 2, 0)
      while index > 0, whole[index] != UInt8(ascii: ".") { index -= 1 }
      while index > 0, index < prefix.count,
        whole[index] == UInt8(ascii: ".") || isSpace(whole[index])
      {
        index += 1
      }
      return from(min(index, prefix.count))
    case .restartsAnswer: return full
    case .announces:
      let choices = [
        "Sure, here is the continuation:\n\n", "Continuing from where I left off:\n",
        "Certainly! Here's the rest of the answer: ",
      ]
      return choices[Int.random(in: 0..<choices.count, using: &rng)]
        + String(rest.drop { $0 == " " || $0 == "\n" })
    case .announcesAndRepeats: return "Voici la suite :\n\n" + from(tail)
    case .reindents: return reindented(full)
    case .refences:
      guard full.first == "{" || full.first == "[" else {
        let fences = prefix.split(separator: 0x0A).count {
          $0.starts(with: Array("```".utf8))
        }
        return fences % 2 == 1 ? "```swift" + (rest.first == "\n" ? "" : "\n") + rest : rest
      }
      return "```json\n" + full + "\n```"
    }
  }

  /// JSON with a line break after every comma and opening bracket outside strings.
  private static func reindented(_ json: String) -> String {
    guard json.first == "{" || json.first == "[" else { return json }
    var result = ""
    var isInString = false
    var isEscaped = false
    for scalar in json.unicodeScalars {
      if isInString {
        result.unicodeScalars.append(scalar)
        if isEscaped {
          isEscaped = false
        } else if scalar == "\\" {
          isEscaped = true
        } else if scalar == "\"" {
          isInString = false
        }
      } else if scalar != " ", scalar != "\n" {
        result.unicodeScalars.append(scalar)
        if scalar == "\"" { isInString = true }
        if scalar == "," || scalar == "{" || scalar == "[" { result += "\n      " }
      }
    }
    return result
  }
}
