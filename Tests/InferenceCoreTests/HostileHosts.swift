import ClusterModel
import InferenceCore
import Limits

/// The result of reading a hostile stream: items, work and memory.
struct HostileReading {
  var items: [UpstreamItem] = []
  var work = 0
  var mostKept = 0

  /// Reads the stream in slices, by default of 16 KiB, as an event loop does.
  init(
    _ stream: [UInt8], _ reading: UpstreamReading, status: Int = 200, slice: Int = 16 << 10
  ) {
    var reader = UpstreamReader(reading, status: status)
    for start in stride(from: 0, to: stream.count, by: slice) {
      items += reader.append(stream[start..<min(start + slice, stream.count)])
    }
    items += reader.end()
    work = reader.allowance.worked
    mostKept = reader.allowance.mostKept
  }

  var failure: AttemptFailure? {
    guard case .broken(let failure)? = items.last else { return nil }
    return failure
  }

  var chunks: [InferenceChunk] {
    items.compactMap { if case .chunk(let chunk) = $0 { chunk } else { nil } }
  }
}

/// Streams of a given size, in each dialect.
enum HostileStream {
  static func reading(
    _ dialect: HostDialect = .openai, endpoint: InferenceEndpoint = .chatCompletions,
    choices: Int = 1, vectors: Int? = nil, base64: Bool = false
  ) -> UpstreamReading {
    UpstreamReading(
      dialect: dialect, endpoint: endpoint, streams: endpoint != .embeddings, id: "x", model: "m",
      encodesBase64: base64, choices: choices, vectors: vectors)
  }

  static func events(_ data: [String]) -> [UInt8] {
    Array(data.map { "data: \($0)\n\n" }.joined().utf8)
  }

  static func lines(_ data: [String]) -> [UInt8] {
    Array(data.map { "\($0)\n" }.joined().utf8)
  }

  static func delta(_ delta: String) -> String {
    #"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":\#(delta)}]}"#
  }

  static func call(_ index: Int, arguments: String = "{}") -> String {
    #"{"index":\#(index),"id":"call_\#(index)","type":"function","#
      + #""function":{"name":"f","arguments":"\#(arguments)"}}"#
  }

  static func members(_ count: Int, value: String = "1") -> String {
    (0..<count).map { "\"m\($0)\":\(value)" }.joined(separator: ",")
  }

  static func list(_ count: Int, _ element: (Int) -> String) -> String {
    "[" + (0..<count).map(element).joined(separator: ",") + "]"
  }
}
