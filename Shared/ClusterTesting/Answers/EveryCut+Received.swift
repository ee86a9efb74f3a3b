public import InferenceCore

extension EveryCut {
  /// The answer that a client assembled.
  public struct Received: Equatable, Sendable {
    public var content = ""
    public var reasoning = ""
    public var names: [Int: String] = [:]
    public var ids: [Int: String] = [:]
    public var arguments: [Int: String] = [:]
    public var finish: String?
    public var identities: Set<String> = []
    public var roles = 0

    public init() {}

    public mutating func take(_ chunks: [InferenceChunk]) throws {
      for chunk in chunks {
        let seen = try ClientChunk(chunk.data)
        content += seen.content
        reasoning += seen.reasoning
        for call in seen.calls {
          names[call.index, default: ""] += call.name
          if !call.id.isEmpty { ids[call.index, default: ""] += call.id }
          arguments[call.index, default: ""] += call.arguments
        }
        finish = seen.finish ?? finish
        identities.insert(seen.identity)
        roles += seen.hasRole ? 1 : 0
      }
    }
  }
}

extension EveryCut.Received {
  func hasSameBytes(as whole: Self) -> Bool {
    agrees(with: whole) { $0.utf8.elementsEqual($1.utf8) }
  }

  /// Whether the texts are equal except for the amount of white space.
  ///
  /// The amount may differ between two words, at the end of the text, and anywhere outside the
  /// strings of JSON. Separate words stay separate, and line breaks stay line breaks.
  func isSpacedOtherwise(than whole: Self) -> Bool {
    agrees(with: whole) { Self.spaced($0) == Self.spaced($1) }
  }

  /// Whether each text is a prefix of the corresponding text of `whole`, ignoring white space.
  func isBeginning(of whole: Self) -> Bool {
    func begins(_ text: String, _ whole: String) -> Bool {
      if whole.utf8.starts(with: text.utf8) { return true }
      let nonSpace = text.utf8.filter { $0 > 0x20 }
      return whole.utf8.filter { $0 > 0x20 }.starts(with: nonSpace)
    }
    return begins(content, whole.content) && begins(reasoning, whole.reasoning)
      && arguments.allSatisfy { begins($0.value, whole.arguments[$0.key] ?? "") }
  }

  private func agrees(with whole: Self, _ same: (String, String) -> Bool) -> Bool {
    same(content, whole.content) && same(reasoning, whole.reasoning)
      && arguments.count == whole.arguments.count
      && arguments.allSatisfy { same($0.value, whole.arguments[$0.key] ?? "") }
  }

  /// Reduces each run of white space to one line break or one space, and removes the run at the
  /// end. In JSON, white space outside strings is removed and white space in strings is kept.
  private static func spaced(_ text: String) -> [UInt8] {
    let isJSON = text.first == "{" || text.first == "["
    var result: [UInt8] = []
    var isInString = false
    var isEscaped = false
    var space: UInt8?
    for byte in text.utf8 {
      if byte <= 0x20, !isInString {
        if !isJSON { space = byte == 0x0A || space == 0x0A ? 0x0A : 0x20 }
        continue
      }
      if let space { result.append(space) }
      space = nil
      result.append(byte)
      guard isJSON else { continue }
      if isEscaped {
        isEscaped = false
      } else if isInString, byte == UInt8(ascii: "\\") {
        isEscaped = true
      } else if byte == UInt8(ascii: "\"") {
        isInString.toggle()
      }
    }
    return result
  }
}
