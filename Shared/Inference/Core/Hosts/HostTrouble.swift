import Limits
import Text

/// Reasons that hosts give for the end of an answer.
enum FinishReason {
  /// Reasons that mean that the answer is incomplete.
  private static let failures: Set<String> = [
    "abort", "aborted", "cancelled", "canceled", "error", "failed", "failure", "internal_error",
    "server_error", "engine_error", "insufficient_system_resource",
  ]

  /// - Returns: `nil` if the reason ends an answer normally.
  static func failure(_ reason: String) -> AttemptFailure? {
    guard reason != "stop", failures.contains(reason.lowercased()) else { return nil }
    return AttemptFailure(.errorEvent, "it ended its answer with finish_reason `\(reason)`")
  }
}

/// Reads the members of a host's JSON object, to find out whether the object reports a failure.
struct HostTrouble {
  /// Whether the object has a member that chunks or embeddings answers have.
  var isChunk = false
  private var error: JSONValue?
  private var base: JSONValue?
  private var hasWords = false
  private var isNamed = false
  private var isTyped = false

  mutating func take(_ member: JSONMember, _ json: HostJSON) {
    switch member.name {
    case "error" where Self.isSet(member.value, json.document): error = member.value
    case "base_resp": base = member.value
    case "object", "type":
      let isError = json.document.string(member.value) == "error"
      isNamed = isNamed || isError
      isTyped = isTyped || !isError
    case "message", "msg", "error_message", "error_msg":
      hasWords = hasWords || member.value.kind == .string && member.value.range.count > 2
    case "detail", "errors": hasWords = hasWords || Self.isSet(member.value, json.document)
    case "data": isChunk = isChunk || member.value.kind == .array
    default: break
    }
  }

  /// Whether the value of an error member reports an error. Some hosts send an empty error with
  /// each chunk.
  static func isSet(_ value: JSONValue, _ document: JSONDocument) -> Bool {
    switch value.kind {
    case .null: false
    case .boolean: document.boolean(value) == true
    case .number: document.integer(value) != 0
    case .string, .array, .object: value.range.count > 2
    }
  }

  /// The host's message about the failure. `nil` means that the object reports no failure.
  ///
  /// - Parameter isAnswer: whether the object has a choice or usage.
  func words(in json: HostJSON, isAnswer: Bool) -> String? {
    if let error { return UpstreamWords.message(of: error, in: json.document) }
    if let base, let code = json.document.value("status_code", in: base),
      Self.isSet(code, json.document)
    {
      return UpstreamWords.message(of: base, in: json.document)
    }
    guard !isAnswer, isNamed else { return nil }
    return UpstreamWords.message(ofRoot: json.root, in: json.document)
  }

  /// Whether the object has a message and no members of a chunk. Such an object reports progress or
  /// the cause of a failure that follows.
  var isRemark: Bool { hasWords && !isChunk && !isTyped }
}

/// Extracts the text of an HTML page or of plain text.
enum PageText {
  /// The page's title, its heading, its first paragraph, or its text without tags. Plain text is
  /// cut to `longest` bytes.
  static func words(of bytes: [UInt8], atMost longest: Int) -> String {
    let page = bytes.prefix(Limits.strayBytes.value)
    guard page.first(where: { $0 > 0x20 }) == UInt8(ascii: "<") else {
      return String(decoding: bytes.prefix(longest), as: UTF8.self)
    }
    for tag in ["title", "h1", "h2", "p"] {
      if let text = text(in: tag, of: page), !text.isEmpty { return text }
    }
    return plain(page)
  }

  /// - Returns: `nil` if there is no such element.
  private static func text(in tag: String, of page: ArraySlice<UInt8>) -> String? {
    let open = Array("<\(tag)".utf8)
    var start = page.startIndex
    while let begin = find(open, in: page[start...]) {
      let after = begin + open.count
      guard after < page.endIndex else { return nil }
      // `<p` may also be the beginning of `<pre`.
      guard page[after] == UInt8(ascii: ">") || page[after] <= 0x20,
        let inside = page[after...].firstIndex(of: UInt8(ascii: ">")).map({ $0 + 1 })
      else {
        start = after
        continue
      }
      let end = find(Array("</\(tag)".utf8), in: page[inside...]) ?? page.endIndex
      return plain(page[inside..<end])
    }
    return nil
  }

  private static func find(_ name: [UInt8], in page: ArraySlice<UInt8>) -> Int? {
    guard page.count >= name.count else { return nil }
    return (page.startIndex...(page.endIndex - name.count)).first { place in
      zip(page[place...], name).allSatisfy { lower($0) == $1 }
    }
  }

  private static func lower(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
  }

  /// Text of a page without tags. Each run of white space becomes one space.
  private static func plain(_ page: ArraySlice<UInt8>) -> String {
    var text: [UInt8] = []
    var isInTag = false
    for byte in page {
      switch byte {
      case UInt8(ascii: "<"): isInTag = true
      case UInt8(ascii: ">") where isInTag:
        isInTag = false
        if text.last ?? 0x20 != 0x20 { text.append(0x20) }
      case _ where isInTag: break
      case 0...0x20: if text.last ?? 0x20 != 0x20 { text.append(0x20) }
      default: text.append(byte)
      }
    }
    if text.last == 0x20 { text.removeLast() }
    return String(decoding: text, as: UTF8.self)
  }
}
