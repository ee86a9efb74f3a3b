import ClusterModel

/// A reader of untrusted bytes that a fuzzer can call with any input.
///
/// An entry must return for every input, without a trap, a hang or a failed `precondition`. `make
/// fuzz` runs the entries under libFuzzer; `FuzzReplayTests` replays the files of `Fuzz/Corpus` and
/// `Fuzz/Findings` as an ordinary test.
public enum FuzzEntry: String, CaseIterable, Sendable, CustomStringConvertible {
  /// A client's request with its options, and its translation into each dialect.
  case request
  /// Server-sent events and lines, split at any byte.
  case streams
  /// JSON documents, read whole and byte by byte.
  case json
  /// Bytes as one chunk, as an error body, and as responses with several statuses.
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
  /// A host's response to a registry's probe.
  case hosts
  /// A plan for a query, by the pattern that the first byte chooses.
  case plan
  /// Tasks that are expanded from a model's output.
  case expand
  /// A text that is split into sentences, normalised, and searched for safe boundaries.
  case text
  /// Headers and query of a client's request that may have a key.
  case key
  /// Texts in requests to the admin API: amounts, dates, names, tags, settings, entity tags.
  case admin
  /// A cluster file, as `tutti apply` reads it.
  case apply

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
    case .key: AccountEntries.key(bytes)
    case .admin: AccountEntries.admin(bytes)
    case .apply: AccountEntries.apply(bytes)
    }
  }
}
