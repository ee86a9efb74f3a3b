/// One process that `tutti up` keeps running.
public struct Child: Hashable, Sendable {
  /// Unique among the children; also the name of its log.
  public var name: String
  /// Path of the program.
  public var executable: String
  public var arguments: [String]
  /// Variables it gets besides those of `tutti up`.
  public var environment: [String: String]
  /// Stages start in rising order and drain in falling order.
  public var stage: Int
  /// Whether the next stages wait until it is ready.
  public var isAwaited: Bool
  /// From SIGTERM to SIGKILL.
  public var grace: Duration

  public init(
    name: String, executable: String, arguments: [String] = [],
    environment: [String: String] = [:], stage: Int, isAwaited: Bool = false, grace: Duration
  ) {
    self.name = name
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.stage = stage
    self.isAwaited = isAwaited
    self.grace = grace
  }
}

/// How a process ended.
public enum ChildExit: Hashable, Sendable, CustomStringConvertible {
  case exited(Int32)
  case signalled(Int32)
  /// It could not be started; the reason.
  case notStarted(String)

  public var description: String {
    switch self {
    case .exited(let status): "exited with \(status)"
    case .signalled(let number): "was killed by signal \(number)"
    case .notStarted(let reason): "could not be started (\(reason))"
    }
  }
}

/// When a child that ended is started again.
public struct RestartPolicy: Hashable, Sendable {
  /// Before the first restart: long enough for the kernel to give back ports and sockets.
  public var first: Duration = .milliseconds(100)
  /// The delay doubles with each crash within `window` up to this.
  public var longest: Duration = .seconds(5)
  /// A crash older than this is forgotten.
  public var window: Duration = .seconds(60)
  /// This many crashes within `window` are a crash loop: the child is named, and tried slowly.
  public var loopCrashes = 5
  /// Between the restarts of a child in a crash loop.
  public var slow: Duration = .seconds(30)

  public static let standard = RestartPolicy()

  public init() {}

  /// - Parameters:
  ///   - crashes: within the window, this one included.
  ///   - random: uniform; it spreads children that died together, by up to half the delay.
  func delay(crashes: Int, isLooping: Bool, random: UInt64) -> Duration {
    let fraction = Double(random >> 11) / Double(1 << 53)
    // 2^16 × 100 ms is far beyond `longest` already; more would only overflow.
    let exponent = min(max(crashes - 1, 0), 16)
    let full = isLooping ? slow : min(first * (1 << exponent), longest)
    return full * (0.5 + fraction / 2)
  }
}
