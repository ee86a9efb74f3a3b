import ClusterModel
import InferenceCore
import Limits
import Testing

private typealias Stream = HostileStream

@Suite("Work to assemble a body from hostile chunks")
struct HostileAssemblyTests {
  /// Parses the deltas as chunks and assembles them.
  private static func assembled(
    _ deltas: [String]
  ) throws(AttemptFailure) -> (body: [UInt8], allowance: Allowance) {
    var assembler = BodyAssembler(endpoint: .chatCompletions)
    for delta in deltas {
      let data = Array(Stream.delta(delta).utf8)
      try assembler.take(InferenceChunk(data: data, facts: ChunkFacts(parsing: data)))
    }
    return (try assembler.body(), assembler.allowance)
  }

  static let shapes: [(name: String, size: Int, deltas: @Sendable (Int) -> [String])] = [
    ("tokens", 2_000, { Array(repeating: #"{"content":"word "}"#, count: $0) }),
    ("tool calls", 512, { (0..<$0).map { #"{"tool_calls":[\#(Stream.call($0))]}"# } }),
    ("tool calls at once", 512, { [#"{"tool_calls":\#(Stream.list($0) { Stream.call($0) })}"#] }),
    (
      "calls found by their ids", 512,
      { size in
        (0..<2 * size).map {
          #"{"tool_calls":[{"id":"c\#($0 % size)","function":{"name":"f","arguments":"x"}}]}"#
        }
      }
    ),
    (
      "calls of one number told apart by ids", 512,
      {
        (0..<$0).map {
          #"{"tool_calls":[{"index":0,"id":"c\#($0)","function":{"name":"f","arguments":"x"}}]}"#
        }
      }
    ),
    ("members over many chunks", 500, { (0..<$0).map { #"{"m\#($0)":"a"}"# } }),
    ("members at once", 500, { ["{\(Stream.members($0, value: "\"a\""))}"] }),
    (
      "one member many times", 500,
      { ["{" + Array(repeating: #""m":"a""#, count: $0).joined(separator: ",") + "}"] }
    ),
    ("an array", 2_000, { (0..<$0).map { #"{"refs":[\#($0)]}"# } }),
    ("objects without a number", 2_000, { (0..<$0).map { #"{"refs":[{"a":\#($0)}]}"# } }),
    (
      "log probabilities with the numbers of their tokens", 2_000,
      { (0..<$0).map { #"{"logprobs":{"content":[{"id":\#($0),"token":"a","logprob":-1}]}}"# } }
    ),
    ("an object said anew", 2_000, { (0..<$0).map { #"{"extra":{"a":[\#($0)]}}"# } }),
    (
      "arguments", 2_000,
      {
        (0..<$0).map { _ in #"{"tool_calls":[{"index":0,"function":{"arguments":"abcd"}}]}"# }
      }
    ),
  ]

  @Test("work and memory are linear in the size, whatever grows", arguments: shapes.indices)
  func linear(_ index: Int) throws {
    let shape = Self.shapes[index]
    let half = try Self.assembled(shape.deltas(shape.size)).allowance
    let whole = try Self.assembled(shape.deltas(2 * shape.size)).allowance
    #expect(
      Double(whole.worked) <= 2.2 * Double(half.worked),
      "\(shape.name): \(half.worked) → \(whole.worked)")
    #expect(
      Double(whole.mostKept) <= 2.5 * Double(half.mostKept),
      "\(shape.name): \(half.mostKept) → \(whole.mostKept)")
  }

  @Test("an object that each chunk repeats is kept once")
  func saidAnew() throws {
    let few = try Self.assembled((0..<10).map { #"{"extra":{"a":[\#($0)]}}"# }).allowance
    let many = try Self.assembled((0..<1_000).map { #"{"extra":{"a":[\#($0 % 10)]}}"# }).allowance
    #expect(many.kept <= few.kept + 64)
  }

  @Test("more calls, members or memory than the limits allow fail the attempt")
  func limits() {
    func failure(_ deltas: [String]) -> String {
      do throws(AttemptFailure) {
        _ = try Self.assembled(deltas)
        return "none"
      } catch {
        return error.message
      }
    }
    let ids = (0...1_024).map {
      #"{"tool_calls":[{"index":0,"id":"c\#($0)","function":{"name":"f"}}]}"#
    }
    #expect(failure(ids).contains(Limits.toolCalls.name))
    #expect(
      failure((0...1_024).map { #"{"m\#($0)":1}"# }).contains(Limits.answerMembers.name))
    let name = String(repeating: "n", count: 250)
    #expect(
      failure(
        (0..<10).map { #"{"tool_calls":[{"index":0,"function":{"name":"\#(name)\#($0)"}}]}"# }
      ).contains(Limits.nameBytes.name))
  }

  @Test("members of one name within a chunk are joined, as within several")
  func duplicates() throws {
    let once = try Self.assembled([#"{"content":"ab","note":"xy"}"#]).body
    let twice = try Self.assembled([#"{"content":"a","note":"x","content":"b","note":"y"}"#]).body
    #expect(once == twice)
  }

  @Test("plain elements, numbered ones and calls keep their order and find their own")
  func mixed() throws {
    let body = try Self.assembled([
      #"{"refs":[1,{"a":1},{"index":5,"t":"x"}]}"#, #"{"refs":[{"index":5,"t":"y"},2]}"#,
      #"{"refs":[{"b":1}]}"#, #"{"refs":[{"function":{"arguments":"z"}}]}"#,
      #"{"refs":[3,{"index":5,"t":"z"}]}"#,
    ]).body
    let text = String(decoding: body, as: UTF8.self)
    #expect(
      text.contains(
        #""refs":[1,{"a":1},{"index":5,"t":"xyz"},2,{"b":1,"function":{"arguments":"z"}},3]"#),
      "\(text)")
  }
}
