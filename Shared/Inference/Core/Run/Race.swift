public import ClusterModel

/// State machine of a race between hosts for one request: the first valid token wins.
///
/// Racing turns the latency tail of one host into the k-th power of that tail:
/// P(T₍₁₎ > t) = (1 − F(t))ᵏ (LLooMA v1.1, equation 1). A race has no hosts, budgets or slots: its
/// owner finds a host for each `ask`, or leaves the `ask` open.
public struct Race: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Start another leg. A speculative one only if it takes no slot that another request needs.
    case ask(speculative: Bool)
    /// The leg lost.
    case cancel(AttemptID)
  }

  public let mode: RaceMode
  /// Maximum legs at once.
  let width: Int
  private let hedgeAfter: Duration
  public private(set) var running: [AttemptID] = []
  public private(set) var winner: AttemptID?
  private var hedgeAt: Instant?

  /// - Parameters:
  ///   - width: Maximum legs at once. Ignored for `single`, which has one.
  ///   - hedgeAfter: Delay of `hedged` before each further leg: the first host's recent p95, so
  ///     that one request in twenty is asked twice (Dean and Barroso, The Tail at Scale).
  public init(mode: RaceMode, width: Int = 2, hedgeAfter: Duration = .zero) {
    self.mode = mode
    self.width = mode == .single ? 1 : max(width, 1)
    self.hedgeAfter = hedgeAfter
  }

  /// The latest time at which `tick` must be called; `nil` means never.
  public var nextWake: Instant? { hedgeAt }

  public func begin() -> [Directive] {
    switch mode {
    case .single, .hedged: [.ask(speculative: false)]
    case .dual: (0..<width).map { .ask(speculative: $0 > 0) }
    }
  }

  /// Records that a leg was started for an `ask`.
  public mutating func asked(_ leg: AttemptID, now: Instant) {
    guard winner == nil else { return }
    running.append(leg)
    hedgeAt = mode == .hedged && running.count < width ? now + hedgeAfter : nil
  }

  /// Records the first valid token of a leg. The other legs lose.
  public mutating func spoke(_ leg: AttemptID) -> [Directive] {
    guard winner == nil, running.contains(leg) else { return [] }
    winner = leg
    hedgeAt = nil
    defer { running = [] }
    return running.filter { $0 != leg }.map { .cancel($0) }
  }

  /// Records that a leg failed. The last leg is replaced at once. Otherwise a dual race asks for a
  /// speculative replacement, and a hedged race waits for its timer.
  public mutating func failed(_ leg: AttemptID) -> [Directive] {
    guard winner == nil, let index = running.firstIndex(of: leg) else { return [] }
    running.remove(at: index)
    if running.isEmpty {
      hedgeAt = nil
      return [.ask(speculative: false)]
    }
    return mode == .dual ? [.ask(speculative: true)] : []
  }

  public mutating func tick(now: Instant) -> [Directive] {
    guard let due = hedgeAt, due <= now else { return [] }
    hedgeAt = nil
    return [.ask(speculative: true)]
  }
}
