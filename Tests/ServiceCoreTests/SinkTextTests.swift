import ClusterModel
import Testing

@testable import DispatcherCore

@Suite("Text of the answer that the client has")
struct SinkTextTests {
  private let toolCall = TaskDelta(text: "", deltaJSON: Array("{}".utf8))

  @Test("an answer is extended by the part that the client lacks")
  func rest() {
    var sink = SinkText(prefix: "It is ")
    #expect(sink.extend(to: "It is so.", pieceBytes: 100) == ["so."])
    #expect(sink.text == "It is so.")
    #expect(sink.extend(to: "It is so.", pieceBytes: 100) == [])
  }

  @Test("an answer with another beginning is refused, and the text stays")
  func otherBeginning() {
    var sink = SinkText(prefix: "It is ")
    #expect(sink.extend(to: "It was so.", pieceBytes: 100) == nil)
    #expect(sink.extend(to: "It", pieceBytes: 100) == nil)
    #expect(sink.text == "It is ")
  }

  @Test("the rest is cut into pieces of whole characters", arguments: [0, 1, 3, 4, 5, 7])
  func pieces(bytes: Int) throws {
    let answer = "a€é🙂 end"
    var sink = SinkText()
    let extended = sink.extend(to: answer, pieceBytes: bytes)
    let pieces = try #require(extended)
    #expect(pieces.joined() == answer)
    // A character of four bytes is not cut.
    #expect(pieces.allSatisfy { $0.utf8.count <= max(4, bytes) })
  }

  @Test("an agent that streamed its whole output has nothing left to emit")
  func streamed() {
    var sink = SinkText()
    #expect(sink.resume() == "")
    sink.append(TaskDelta(text: "It is "), room: 100)
    sink.append(TaskDelta(text: "so."), room: 100)
    let (answer, rest) = sink.complete(with: "It is so.", pieceBytes: 100)
    #expect(answer == "It is so." && rest.isEmpty)
  }

  @Test(
    "an agent that resumed may report the whole answer or only its own part",
    arguments: ["so.", "It is so."], [true, false])
  func resumed(output: String, streams: Bool) {
    var sink = SinkText(prefix: "It is ")
    #expect(sink.resume() == "It is ")
    if streams { sink.append(TaskDelta(text: "so."), room: 100) }
    let (answer, rest) = sink.complete(with: output, pieceBytes: 100)
    #expect(answer == "It is so." && sink.text == answer)
    #expect(rest.joined() == (streams ? "" : "so."))
  }

  @Test("without a prefix, an output that does not fit the stream is the answer as reported")
  func mismatch() {
    var sink = SinkText()
    sink.append(TaskDelta(text: "It is "), room: 100)
    let (answer, rest) = sink.complete(with: "Other", pieceBytes: 100)
    #expect(answer == "Other" && rest.isEmpty && sink.text == "It is ")
  }

  @Test("an answer with a tool call is not compared with text")
  func structure() {
    var sink = SinkText()
    sink.append(TaskDelta(text: "It"), room: 100)
    sink.append(toolCall, room: 100)
    #expect(sink.hasStructure)
    let (answer, rest) = sink.complete(with: "It is so.", pieceBytes: 100)
    #expect(answer == "It is so." && rest.isEmpty)
  }

  @Test("a client with only a tool call has something of the answer, until it is discarded")
  func empty() {
    var sink = SinkText()
    #expect(sink.isEmpty)
    sink.append(toolCall, room: 100)
    #expect(!sink.isEmpty && sink.text.isEmpty)
    sink.discard()
    #expect(sink.isEmpty)
  }

  @Test("text beyond the room is dropped, and the output can no longer be resumed")
  func room() {
    var written = WrittenText()
    written.append(TaskDelta(text: "12345"), room: 5)
    #expect(written.text == "12345" && !written.hasStructure)
    written.append(TaskDelta(text: "67"), room: 1)
    #expect(written.text == "123456" && written.hasStructure)
  }
}
