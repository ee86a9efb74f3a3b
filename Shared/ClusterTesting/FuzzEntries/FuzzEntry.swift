import ClusterModel

/// A reader of outsiders' bytes that a fuzzer can call with anything.
///
/// An entry must end for every input: no trap, no hang, and no broken promise, which is a
/// `precondition` here. `make fuzz` runs them under libFuzzer; `FuzzReplayTests` replays the files
/// of `Fuzz/Corpus` and `Fuzz/Findings` as an ordinary test.
public enum FuzzEntry: String, CaseIterable, Sendable, CustomStringConvertible {
  /// A client's request with its options, and what each dialect's host is sent for it.
  case request
  /// Server-sent events and lines, cut anywhere.
  case streams
  /// JSON documents, whole and byte by byte.
  case json
  /// Chunks of a stream.
  case chunk
  /// The body that is assembled from chunks.
  case assembler
  /// An answer that one host begins and others resume.
  case answer
  case ollama
  case anthropic
  /// Sealed frames and envelopes.
  case wire
  /// Envelopes in the order in which they arrive at a bus.
  case bus
  /// What a host says to a registry's probe.
  case hosts
  /// A plan for a query, with every pattern.
  case plan
  /// Tasks that follow from what a model wrote.
  case expand
  /// What agents do to texts on their way.
  case text

  public var description: String { rawValue }

  public func run(_ bytes: [UInt8]) {
    switch self {
    case .request: RequestEntry.run(bytes)
    case .streams: ReaderEntries.streams(bytes)
    case .json: ReaderEntries.json(bytes)
    case .chunk: ReaderEntries.chunk(bytes)
    case .assembler: ReaderEntries.assembler(bytes)
    case .answer: AnswerEntry.run(bytes)
    case .ollama: ReaderEntries.upstream(bytes, .ollama)
    case .anthropic: ReaderEntries.upstream(bytes, .anthropic)
    case .wire: BusEntries.wire(bytes)
    case .bus: BusEntries.bus(bytes)
    case .hosts: HostEntry.run(bytes)
    case .plan: PlanEntries.plan(bytes)
    case .expand: PlanEntries.expand(bytes)
    case .text: PlanEntries.text(bytes)
    }
  }
}
