import ClusterModel
import Testing
import Text

@Suite("Event streams and UTF-8 that arrive in pieces")
struct StreamTextTests {
  private static let stream =
    "\u{FEFF}data: one\n\n: comment\nevent: error\ndata:two\n\ndata: a\ndata: b\r\n\r\n"
    + "id: 7\n\ndata\r\rdata: é😀\n\n"

  private static let events = [
    SSEEvent(data: Array("one".utf8)), SSEEvent(name: "error", data: Array("two".utf8)),
    SSEEvent(data: Array("a\nb".utf8)), SSEEvent(data: []), SSEEvent(data: Array("é😀".utf8)),
  ]

  @Test("events come out the same wherever the stream is cut")
  func everyCut() throws {
    let bytes = Array(Self.stream.utf8)
    for cut in 0...bytes.count {
      var splitter = SSESplitter()
      let events = try splitter.append(bytes[..<cut]) + splitter.append(bytes[cut...])
      #expect(events == Self.events, "cut at \(cut)")
      #expect(!splitter.hasUnfinishedEvent)
    }
    var splitter = SSESplitter()
    var events: [SSEEvent] = []
    for byte in bytes { events += try splitter.append([byte]) }
    #expect(events == Self.events)
  }

  @Test("every kind of line end gives the same events")
  func lineEnds() throws {
    for end in ["\n", "\r\n", "\r"] {
      var splitter = SSESplitter()
      let text = ["data: x", "", "data: y", "", ": c", "data: z", "", ""].joined(separator: end)
      let events = try splitter.append(Array((text + "\n").utf8))
      #expect(events.map { String(decoding: $0.data, as: UTF8.self) } == ["x", "y", "z"])
    }
  }

  @Test("an event without its end stays unfinished")
  func unfinished() throws {
    var splitter = SSESplitter()
    #expect(try splitter.append(Array("data: x\n".utf8)).isEmpty)
    #expect(splitter.hasUnfinishedEvent)
  }

  @Test("at the end the last event is given without its empty line")
  func lastEvent() throws {
    for text in ["data: x", "data: x\n", "event: e\ndata: x"] {
      var splitter = SSESplitter()
      #expect(try splitter.append(Array(text.utf8)).isEmpty)
      #expect(splitter.end()?.data == Array("x".utf8))
      #expect(splitter.end() == nil)
    }
  }

  @Test("comments are counted, and lines that are no field are kept up to a limit")
  func strayLines() throws {
    var splitter = SSESplitter(maximumStrayBytes: 12)
    let events = try splitter.append(
      Array(": a\nBad Gateway\n:\nid: 1\nretry: 2\nmore\ndata: x\n\n".utf8))
    #expect(events == [SSEEvent(data: Array("x".utf8))] && splitter.comments == 2)
    #expect(String(decoding: splitter.stray, as: UTF8.self) == "Bad Gateway\n")
    var objects = SSESplitter(maximumStrayBytes: 12)
    #expect(
      try objects.append(Array("{\"a\": 1}\ndata: x\n\n".utf8)).map(\.name)
        == [SSESplitter.strayName, nil])
  }

  @Test("comments are events in their place if they are wanted", arguments: 1...12)
  func comments(piece: Int) throws {
    let bytes = Array(": tutti {}\r\n\ndata: {\"a\":1}\n\n:\nevent: x\ndata:[DONE]\n\n".utf8)
    var splitter = SSESplitter(keepsComments: true)
    var events: [SSEEvent] = []
    for start in stride(from: 0, to: bytes.count, by: piece) {
      events += try splitter.append(bytes[start..<min(start + piece, bytes.count)])
    }
    let comment = SSESplitter.commentName
    #expect(
      events == [
        SSEEvent(name: comment, data: Array("tutti {}".utf8)),
        SSEEvent(data: Array(#"{"a":1}"#.utf8)), SSEEvent(name: comment, data: []),
        SSEEvent(name: "x", data: Array("[DONE]".utf8)),
      ])
  }

  @Test("a large line in pieces is the same event as in one", arguments: [1, 4_000, 70_000])
  func largeLine(_ piece: Int) throws {
    let text = String(repeating: "0123456789", count: 20_000)
    for stream in ["data: \(text)\n\n", "data:\(text)\ndata: y\n\n", "data: y\ndata: \(text)\n\n"] {
      var (whole, cut) = (SSESplitter(), SSESplitter())
      let bytes = Array("data: z\n\n\(stream)".utf8)
      var events: [SSEEvent] = []
      for start in stride(from: 0, to: bytes.count, by: piece) {
        events += try cut.append(bytes[start..<min(start + piece, bytes.count)])
      }
      #expect(try events == whole.append(bytes) && events.count == 2)
    }
  }

  @Test("an event larger than the limit is an error, in one line or in many")
  func tooLarge() {
    #expect(throws: SSESplitter.TooLarge.self) {
      var splitter = SSESplitter(maximumEventBytes: 100)
      for _ in 0..<20 { _ = try splitter.append(Array("xxxxxxxxxx".utf8)) }
    }
    #expect(throws: SSESplitter.TooLarge.self) {
      var splitter = SSESplitter(maximumEventBytes: 100)
      for _ in 0..<20 { _ = try splitter.append(Array("data: xxxxxxxx\n".utf8)) }
    }
  }

  @Test("an event and a line own buffers of their size, also after large ones")
  func buffers() throws {
    let large = String(repeating: "x", count: 500_000)
    let small = String(repeating: "data: y\n\n", count: 100)
    var splitter = SSESplitter()
    let events = try splitter.append(Array("data: \(large)\n\n\(small)".utf8))
    #expect(events.count == 101)
    for event in events { #expect(event.data.capacity <= event.data.count + 4_160) }
    #expect(splitter.bufferBytes < 10_000)
    var lines = NDJSONSplitter()
    var whole: [[UInt8]] = []
    for byte in "\(large)\ny\ny\n".utf8 { whole += try lines.append([byte]) }
    #expect(whole.map(\.count) == [500_000, 1, 1])
    // The allocator rounds up to its next size class.
    for line in whole { #expect(line.capacity <= line.count + line.count / 4 + 4_160) }
    #expect(lines.bufferBytes < 10_000)
  }

  @Test("a large event and a large line are not copied")
  func moved() throws {
    let limit = 8 << 20
    let large = [UInt8](repeating: UInt8(ascii: "x"), count: 3 << 20)
    var splitter = SSESplitter(maximumEventBytes: limit)
    _ = try splitter.append(Array("data: ".utf8) + large)
    #expect(splitter.bufferBytes >= limit)
    let work = splitter.work
    let events = try splitter.append(Array("\n\n".utf8))
    #expect(events.map(\.data) == [large])
    #expect(splitter.bufferBytes == 0 && splitter.work - work < large.count + 100)
    var lines = NDJSONSplitter(maximumLineBytes: limit)
    _ = try lines.append(large)
    let whole = try lines.append(Array("\r\n".utf8))
    #expect(whole == [large] && lines.bufferBytes == 0)
    #expect(whole[0].capacity >= limit)
  }

  @Test("splitting is linear in the bytes, whole or in pieces", arguments: [1, 7, 4_096])
  func linear(_ piece: Int) throws {
    func work(_ text: String) throws -> (events: Int, lines: Int) {
      var (splitter, lines) = (SSESplitter(), NDJSONSplitter())
      let bytes = Array(text.utf8)
      for start in stride(from: 0, to: bytes.count, by: piece) {
        let end = min(start + piece, bytes.count)
        _ = try splitter.append(bytes[start..<end])
        _ = try lines.append(bytes[start..<end])
      }
      return (splitter.work, lines.work)
    }
    for text in ["data:\n", "data: abc\n\n", "\n", "\r", ": c\n", "x"] {
      let half = try work(String(repeating: text, count: 20_000))
      let whole = try work(String(repeating: text, count: 40_000))
      #expect(Double(whole.events) <= 2.2 * Double(half.events), "\(text)")
      #expect(Double(whole.lines) <= 2.2 * Double(half.lines), "\(text)")
    }
  }

  @Test("random bytes never crash the splitter")
  func fuzz() {
    for seed in 0..<500 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      var splitter = SSESplitter(maximumEventBytes: 256)
      let alphabet = Array("data: \n\n\r\r\u{0}x:é".utf8)
      for _ in 0..<50 {
        let piece = (0..<Int.random(in: 0..<40, using: &rng)).map { _ in
          alphabet.randomElement(using: &rng)!
        }
        guard let events = try? splitter.append(piece) else { break }
        #expect(events.allSatisfy { $0.data.count <= 256 }, "seed \(seed)")
      }
    }
  }

  @Test("a tail is incomplete exactly when more bytes can complete it")
  func incompleteTail() {
    let text = Array("aé日😀z".utf8)
    for cut in 0...text.count {
      let head = text[..<cut]
      let tail = UTF8Bytes.incompleteTailLength(of: head)
      #expect(UTF8Bytes.isValid(head.dropLast(tail)), "cut at \(cut)")
      #expect((tail > 0) == !UTF8Bytes.isValid(head), "cut at \(cut)")
    }
    for wrong: [UInt8] in [[0x80], [0x80, 0x80, 0x80, 0x80], [0xED, 0xA0], [0xC0], [0xF8, 0x80]] {
      #expect(UTF8Bytes.incompleteTailLength(of: wrong) == 0)
    }
  }

  @Test("validity agrees with the standard library on random bytes")
  func validity() {
    for seed in 0..<5_000 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let leads: [UInt8] = [0x41, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0x80, 0x8F, 0x90, 0x9F, 0xA0]
      let bytes = (0..<Int.random(in: 0..<6, using: &rng)).map { _ in
        leads.randomElement(using: &rng)!
      }
      #expect(
        UTF8Bytes.isValid(bytes) == (String(validating: bytes, as: UTF8.self) != nil),
        "seed \(seed): \(bytes)")
    }
  }
}
