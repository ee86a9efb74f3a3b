import ClusterModel
import InferenceCore
import Text

enum ReaderEntries {
  /// Reads streams in pieces. The first byte plus one is the length of a piece; the rest is split
  /// into pieces. They must produce the same events as unsplit input.
  static func streams(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let rest = Array(bytes.dropFirst())
    let length = Int(first) + 1
    func pieces(_ take: (ArraySlice<UInt8>) -> Bool) {
      var left = rest[...]
      while !left.isEmpty, take(left.prefix(length)) { left = left.dropFirst(length) }
    }
    var whole = SSESplitter(maximumEventBytes: 1 << 12)
    let expected = try? whole.append(rest)
    var cut = SSESplitter(maximumEventBytes: 1 << 12)
    var events: [SSEEvent]? = []
    pieces { piece in
      guard let more = try? cut.append(piece) else {
        events = nil
        return false
      }
      events? += more
      return true
    }
    precondition(events == expected, "events depend on where the stream was cut")

    var wholeLines = NDJSONSplitter(maximumLineBytes: 1 << 12)
    let expectedLines = try? wholeLines.append(rest)
    var cutLines = NDJSONSplitter(maximumLineBytes: 1 << 12)
    var lines: [[UInt8]]? = []
    pieces { piece in
      guard let more = try? cutLines.append(piece) else {
        lines = nil
        return false
      }
      lines? += more
      return true
    }
    precondition(lines == expectedLines, "lines depend on where the stream was cut")
    _ = wholeLines.end()
  }

  static func json(_ bytes: [UInt8]) {
    var progress = JSONProgress()
    _ = progress.take(bytes)
    _ = try? JSONObjectScanner(bytes)
    guard let document = try? JSONDocument(validating: bytes) else { return }
    walk(document.root, document, depth: 0)
  }

  private static func walk(_ value: JSONValue, _ document: JSONDocument, depth: Int) {
    _ = document.string(value)
    _ = document.integer(value)
    _ = document.number(value)
    guard depth < 8 else { return }
    for member in document.members(of: value).prefix(64) {
      walk(member.value, document, depth: depth + 1)
    }
    for element in document.elements(of: value).prefix(64) {
      walk(element, document, depth: depth + 1)
    }
  }

  static func chunk(_ bytes: [UInt8]) {
    _ = try? ChunkFacts(parsing: bytes)
    _ = UpstreamWords.message(ofBody: bytes)
    for status in [200, 400, 503] {
      var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: status)
      _ = reader.append(bytes)
      _ = reader.end()
      reader = UpstreamReader(endpoint: .chatCompletions, streams: false, status: status)
      _ = reader.append(bytes)
      _ = reader.end()
    }
  }

  /// Assembles a body from chunks, one per line.
  static func assembler(_ bytes: [UInt8]) {
    var assembler = BodyAssembler(endpoint: .chatCompletions)
    for line in bytes.split(separator: 0x0A) {
      let data = Array(line)
      guard let facts = try? ChunkFacts(parsing: data) else { return }
      guard (try? assembler.take(InferenceChunk(data: data, facts: facts))) != nil else { return }
    }
    guard let body = try? assembler.body() else { return }
    precondition((try? JSONDocument(validating: body)) != nil, "the body is not JSON")
  }

  /// Reads the bytes as a stream of a chat and as bodies with embeddings. All chunks and bodies
  /// must be JSON.
  static func upstream(_ bytes: [UInt8], _ dialect: HostDialect) {
    let readings = [
      UpstreamReading(dialect: dialect, endpoint: .chatCompletions, streams: true, model: "m"),
      UpstreamReading(dialect: dialect, endpoint: .embeddings, streams: false, model: "m"),
      UpstreamReading(
        dialect: dialect, endpoint: .embeddings, streams: false, model: "m", encodesBase64: true),
    ]
    for reading in readings {
      var reader = UpstreamReader(reading, status: 200)
      for item in reader.append(bytes) + reader.end() {
        switch item {
        case .chunk(let chunk): check(chunk.data)
        case .body(let body, _): check(body)
        case .done, .broken, .end: break
        }
      }
    }
  }

  static func check(_ json: [UInt8]) {
    precondition((try? JSONDocument(validating: json)) != nil, "the client gets invalid JSON")
  }
}
