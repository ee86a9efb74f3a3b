/// State of one request while it is answered.
final class FaultyHostExchange {
  let path: String
  let streams: Bool
  let faults: FaultyHostFaults
  var record: FaultyHostRecord
  var voice: any FaultyHostVoice
  /// The body of an answer without tokens.
  var wholeBody: [UInt8]?
  var pieces: [FaultyHostPiece] = []
  /// Where the fault `faults.kind` occurs.
  var breaksAt: FaultyHostPiece.Break?
  var sentBytes = 0
  /// State of an answer that follows a `HostileRow`.
  var hostile: HostileCursor?

  init(
    path: String, streams: Bool, faults: FaultyHostFaults, record: FaultyHostRecord,
    voice: any FaultyHostVoice
  ) {
    self.path = path
    self.streams = streams
    self.faults = faults
    self.record = record
    self.voice = voice
  }

  var tokens: Int { record.tokens }

  /// Whether the answer breaks before the next token.
  var breaksHere: Bool { breaksAt?.index == tokens }

  /// Milliseconds between tokens if the answer is slow at this point. `nil` means normal speed.
  var crawls: Double? {
    guard faults.kind == .crawl else { return faults.crawlMilliseconds }
    guard let breaksAt, tokens >= breaksAt.index else { return nil }
    return faults.crawlMilliseconds ?? 1_000
  }

  /// The event of the character that contains the fault's byte, cut at that byte.
  var unfinishedEvent: [UInt8] {
    guard let breaksAt, let character = breaksAt.character else { return [] }
    var voice = voice
    let event = voice.event(character)
    let bytes = Array(character.counted.utf8)
    guard let place = event.lastRange(of: bytes) else { return [] }
    return Array(event[..<(place.lowerBound + breaksAt.bytes)])
  }

  /// The next token's event, with the first half of a UTF-8 character at the end of its text.
  var eventWithHalfCharacter: [UInt8] {
    let piece = pieces[tokens]
    var bytes = voice.event(piece)
    if let place = bytes.lastRange(of: Array(quoted(piece.counted).utf8)) {
      bytes.insert(contentsOf: [0xF0, 0x9F], at: place.upperBound - 1)
    }
    return bytes
  }
}

extension [UInt8] {
  fileprivate func lastRange(of needle: [UInt8]) -> Range<Int>? {
    guard !needle.isEmpty, count >= needle.count else { return nil }
    for start in stride(from: count - needle.count, through: 0, by: -1)
    where self[start...].starts(with: needle) {
      return start..<(start + needle.count)
    }
    return nil
  }
}
