import Limits
import Text

/// A stream event that is not read as a chunk, usually because it holds no JSON object.
enum OddEvent: Equatable {
  /// The end of the stream, such as `[DONE]`.
  case done
  /// A heartbeat, an empty event, or JSON that is neither an object nor a text. It has no content.
  case silence
  /// A text. It is reported as the cause if the stream ends without an answer.
  case words
  /// The event reports an error.
  case failure
  case garbage

  /// - Returns: `nil` if the event is read as a chunk. It then holds an object, and its name is
  ///   neither `error` nor that of a heartbeat.
  init?(_ data: [UInt8], name: String?) {
    guard name != "error" else {
      self = .failure
      return
    }
    if let name, Self.heartbeats.contains(name) {
      self = .silence
      return
    }
    guard let first = data.first(where: { $0 > 0x20 }) else {
      self = .silence
      return
    }
    if first == UInt8(ascii: "{") { return nil }
    self = Self.kind(data)
  }

  private static let longestWord = 16
  private static let heartbeats: Set<String> = [
    "ping", "pong", "heartbeat", "keepalive", "keep-alive", "keep_alive", "noop", "none",
    "undefined", "ok",
  ]

  private static func kind(_ data: [UInt8]) -> OddEvent {
    if data.count <= longestWord {
      let word = String(decoding: data, as: UTF8.self).lowercased()
        .filter { !$0.isWhitespace && $0 != "\"" }
      if word == "[done]" || word == "done" { return .done }
      if heartbeats.contains(word) { return .silence }
    }
    guard let document = try? JSONDocument(validating: data) else { return .garbage }
    if document.root.kind == .string { return .words }
    // Some hosts wrap the error object in an array.
    guard let element = document.firstElement(of: document.root),
      let error = document.value("error", in: element), HostTrouble.isSet(error, document)
    else { return .silence }
    return .failure
  }
}

/// Decides which chunks without content are passed on.
///
/// A host may send such chunks without end, and each one that is passed on is held and sent to the
/// client.
struct ChunkNews: Sendable {
  private var inRow = 0
  private var total = 0

  /// Counts a skipped event.
  mutating func countSkipped() throws(AttemptFailure) {
    total += 1
    guard total <= Limits.emptyChunks.value else {
      throw AttemptFailure(overdrawn: Limits.emptyChunks)
    }
  }

  mutating func shouldPassOn(
    _ facts: ChunkFacts, choices: Int
  ) throws(AttemptFailure) -> Bool {
    guard facts.text.isEmpty, !facts.hasOther, facts.finishedChoices == 0 else {
      inRow = 0
      return true
    }
    inRow += 1
    try countSkipped()
    let free = Limits.emptyChunksInRow.value
    // Chunks with token counts are always passed on. Each choice may also have one opening chunk.
    return facts.usage != nil || inRow <= free + choices || inRow % free == 0
  }
}
