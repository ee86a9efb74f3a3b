/// Bounds of a process's bus. Each keeps one peer's behaviour from using up the memory of all.
public struct BusLimits: Equatable, Sendable {
  public static let standard = BusLimits()

  /// For a process that refuses more than so many requests itself, in its own words.
  public static func admitting(_ requests: Int) -> BusLimits {
    var limits = standard
    limits.handlers = max(limits.handlers, requests + 64)
    return limits
  }

  /// Handlers at once; more are answered `overloaded`. Each may hold a whole prompt.
  public var handlers = 1_024
  /// Calls and streams of ours in flight: twice what a busy gateway admits.
  public var outgoing = 4_096
  /// Bytes that a stream's slow reader may leave lying here before the stream is cut.
  public var streamBytes = 1 << 20
  /// The same for all streams of the process together.
  public var allStreamBytes = 64 << 20
  /// A frame on the wire; a larger envelope travels as fragments.
  public var frameBytes = 1 << 20
  /// An envelope put together from fragments. The largest is a `RunPlan`: 10 MiB of documents, 4 of
  /// messages, 4 of plan (`PlanValidation`), and room for the outputs that are there already.
  public var messageBytes = 24 << 20
  /// All unfinished fragments together: four of the largest at once.
  public var reassemblyBytes = 96 << 20
  /// Messages from peers that are not in our table yet, kept until it comes.
  public var heldMessages = 256
  public var heldBytes = 24 << 20
  /// How long they are kept.
  public var heldFor: Duration = .seconds(2)
  /// Message ids remembered for each sender, so that a duplicate does not run twice.
  public var rememberedIDs = 4_096
  /// Senders for whom they are remembered; above this, those that left the table are forgotten.
  public var rememberedSenders = 1_024
  /// A peer with work of ours is asked for a sign of life after this silence …
  public var pingAfter: Duration = .seconds(1)
  /// … and is lost after this one.
  public var lostAfter: Duration = .seconds(3)

  public init() {}
}
