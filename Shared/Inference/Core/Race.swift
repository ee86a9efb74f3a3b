public import ClusterModel

/// Who of several hosts, asked the same question, answers it: the first valid token wins.
///
/// Racing turns the tail of one host into the k-th power of that tail: P(T₍₁₎ > t) = (1 − F(t))ᵏ
/// (LLooMA v1.1, equation 1). It knows no host, budget or slot: whoever holds it finds somebody for
/// an `ask`, or finds nobody.
public struct Race: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Another host is wanted. A speculative one only if it costs nobody else a place.
    case ask(speculative: Bool)
    /// It lost.
    case cancel(AttemptID)
  }

  public let mode: RaceMode
  /// How many run at once, at most.
  public let width: Int
  private let hedgeAfter: Duration
  public private(set) var running: [AttemptID] = []
  public private(set) var winner: AttemptID?
  private var hedgeAt: Instant?

  /// - Parameters:
  ///   - width: legs at once; 1 for `single`, whatever is said.
  ///   - hedgeAfter: how long `hedged` waits before each further leg: the first host's recent p95,
  ///     so that one request in twenty is asked twice (Dean and Barroso, The Tail at Scale).
  public init(mode: RaceMode, width: Int = 2, hedgeAfter: Duration = .zero) {
    self.mode = mode
    self.width = mode == .single ? 1 : max(width, 1)
    self.hedgeAfter = hedgeAfter
  }

  /// Nobody is asked and nobody has won.
  public var isIdle: Bool { running.isEmpty && winner == nil }

  /// When `tick` must be called at the latest; nil: never.
  public var nextWake: Instant? { hedgeAt }

  public func begin() -> [Directive] {
    switch mode {
    case .single, .hedged: [.ask(speculative: false)]
    case .dual: (0..<width).map { .ask(speculative: $0 > 0) }
    }
  }

  /// A host was found for an `ask`.
  public mutating func asked(_ leg: AttemptID, now: Instant) {
    guard winner == nil else { return }
    running.append(leg)
    hedgeAt = mode == .hedged && running.count < width ? now + hedgeAfter : nil
  }

  /// Its first valid token is here: the others are beaten.
  public mutating func spoke(_ leg: AttemptID) -> [Directive] {
    guard winner == nil, running.contains(leg) else { return [] }
    winner = leg
    hedgeAt = nil
    defer { running = [] }
    return running.filter { $0 != leg }.map { .cancel($0) }
  }

  /// It will not answer. Somebody takes its place: at once when it was the last one, if there is
  /// room in a dual race, and at its time in a hedged one.
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
