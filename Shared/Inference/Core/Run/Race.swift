public import ClusterModel

/// State machine of a race between hosts for one request: the first valid token wins.
///
/// A race of k hosts turns the latency tail of one host into its k-th power: P(T₍₁₎ > t) = (1 −
/// F(t))ᵏ (LLooMA v1.1, equation 1).
///
/// A race knows no hosts, budgets or slots. Its owner finds a host for each `ask`. If there is
/// none, the owner ignores the `ask`.
public struct Race: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Start another leg. A speculative leg must not take a slot that another request needs.
    case ask(speculative: Bool)
    /// Cancel the leg, because it has lost.
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
  ///   - width: maximum legs at once. A `single` race ignores it and has one leg.
  ///   - hedgeAfter: for `hedged`, the delay before each further leg. If the first host is
  ///     measured, it is the host's recent p95, so that one request in twenty is asked twice (Dean
  ///     and Barroso, The Tail at Scale).
  public init(mode: RaceMode, width: Int = 2, hedgeAfter: Duration = .zero) {
    self.mode = mode
    self.width = mode == .single ? 1 : max(width, 1)
    self.hedgeAfter = hedgeAfter
  }

  /// The latest time at which `tick` must be called. `nil` means that no call is needed.
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

  /// Records that a leg failed.
  ///
  /// If no leg is left, the race asks for a replacement at once. If legs are left, a dual race asks
  /// for a speculative replacement, and a hedged race waits for its timer.
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
