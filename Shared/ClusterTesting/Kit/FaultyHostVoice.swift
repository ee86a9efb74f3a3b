import Foundation

/// Data of an answer that every dialect needs.
struct FaultyHostLines: Sendable {
  var model: String
  /// Number of the request, so that ids differ.
  var number: Int
  var pieces: [FaultyHostPiece]
  /// Number of tokens, not counting the split that a fault makes within one.
  var tokenCount: Int
  /// Whether the client's token limit cut the answer short.
  var isCut: Bool
  var includeUsage: Bool
  /// Cached prompt tokens that the host reports. `nil` means that it reports none.
  var cachedTokens: Int?

  /// Time of creation. It is the same in every answer, because tests compare bytes.
  static let created = 1_700_000_000
  static let promptTokens = 7

  var text: String {
    pieces.reduce(into: "") { if case .text(let text) = $1 { $0 += text } }
  }

  var reasoning: String {
    pieces.reduce(into: "") { if case .reasoning(let text) = $1 { $0 += text } }
  }

  var calls: [FaultyHostReply.ToolCall] {
    pieces.reduce(into: []) { calls, piece in
      switch piece {
      case .call(_, let id, let name): calls.append(.init(id: id, name: name, arguments: ""))
      case .arguments(_, let text): calls[calls.count - 1].arguments += text
      case .text, .reasoning: break
      }
    }
  }
}

/// Encodes an answer in one dialect.
protocol FaultyHostVoice: Sendable {
  init(_ lines: FaultyHostLines)

  var streamType: String { get }
  /// Bytes before the first piece.
  mutating func opening() -> [UInt8]
  mutating func event(_ piece: FaultyHostPiece) -> [UInt8]
  /// Bytes that end the stream properly.
  mutating func closing() -> [UInt8]
  /// The complete answer for a client that does not stream.
  var body: [UInt8] { get }
  /// An error event within a stream.
  func errorEvent(_ message: String) -> [UInt8]
  var garbage: [UInt8] { get }
  static func error(_ message: String, status: Int) -> [UInt8]
}

/// Encodes a JSON string, quotes included.
func quoted(_ text: String) -> String {
  let isPlain = text.utf8.allSatisfy {
    $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
  }
  if isPlain { return "\"\(text)\"" }
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case _ where scalar.value < 0x20: result += String(format: "\\u%04x", scalar.value)
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
