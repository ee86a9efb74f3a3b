/// A process that `tutti up` keeps running.
public struct Child: Hashable, Sendable {
  /// Unique among the children. The log file has this name, too.
  public var name: String
  /// Path of the program.
  public var executable: String
  public var arguments: [String]
  /// Variables in addition to the inherited ones.
  public var environment: [String: String]
  /// Names of the variables that the child inherits from `tutti up`. `nil` means all variables, as
  /// for every Tutti service.
  public var inherits: Set<String>?
  /// Stages start in rising order and drain in falling order.
  public var stage: Int
  /// Whether later stages wait until the child is ready.
  var blocksLaterStages: Bool
  /// Time from SIGTERM to SIGKILL.
  var grace: Duration
  /// Added to the nice value of `tutti up`. A higher value yields the processor to other processes.
  public var niceness: Int

  public init(
    name: String, executable: String, arguments: [String] = [],
    environment: [String: String] = [:], inherits: Set<String>? = nil, stage: Int,
    blocksLaterStages: Bool = false, grace: Duration, niceness: Int = 0
  ) {
    self.name = name
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.inherits = inherits
    self.stage = stage
    self.blocksLaterStages = blocksLaterStages
    self.grace = grace
    self.niceness = niceness
  }

  /// Variables for a program that is not a Tutti service. None of them holds a secret.
  static let fewVariables: Set<String> = [
    "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ",
  ]

  /// - Parameter own: variables of `tutti up`.
  public func variables(from own: [String: String]) -> [String: String] {
    own.filter { inherits?.contains($0.key) ?? true }.merging(environment) { _, new in new }
  }
}

/// Crashes of one child since `tutti up` began. A crash is an end that `tutti up` did not ask for,
/// or a failed start.
public struct ChildCrashes: Codable, Hashable, Sendable {
  public var name: String
  public var count: Int
  public var lastUnixSeconds: Int64
  public var reason: String
  /// File with the backtrace of the latest crash. `nil` means that this crash wrote none.
  public var report: String?

  public init(
    name: String, count: Int, lastUnixSeconds: Int64, reason: String, report: String? = nil
  ) {
    self.name = name
    self.count = count
    self.lastUnixSeconds = lastUnixSeconds
    self.reason = reason
    self.report = report
  }

  enum CodingKeys: String, CodingKey {
    case name, count, reason, report
    case lastUnixSeconds = "last_unix_s"
  }
}

/// How a process ended.
public enum ChildExit: Hashable, Sendable, CustomStringConvertible {
  case exited(Int32)
  case signalled(Int32)
  /// The process could not be started, for this reason.
  case notStarted(String)

  public var description: String {
    switch self {
    case .exited(let status): "exited with \(status)"
    case .signalled(let number):
      "was killed by signal \(number)" + (Self.names[number].map { " (\($0))" } ?? "")
    case .notStarted(let reason): "could not be started (\(reason))"
    }
  }

  /// Names of the signal numbers that Linux and macOS share.
  private static let names: [Int32: String] = [
    3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 8: "FPE", 9: "KILL", 11: "SEGV", 15: "TERM",
  ]

  /// Whether the process writes a backtrace on this signal: after a program error, or on SIGQUIT.
  public var isCrash: Bool {
    guard case .signalled(let number) = self else { return false }
    // 7 is SIGBUS on Linux, and 10 is SIGBUS on macOS.
    return [3, 4, 5, 6, 7, 8, 10, 11].contains(number)
  }
}

/// Delays before a child that ended is restarted.
public struct RestartPolicy: Hashable, Sendable {
  /// Delay of the first restart: long enough for the kernel to release ports and sockets.
  var first: Duration = .milliseconds(100)
  /// Maximum delay outside a crash loop. The delay doubles with each crash within `window`.
  var longest: Duration = .seconds(5)
  /// Time for which a crash counts.
  var window: Duration = .seconds(60)
  /// This many crashes within `window` are a crash loop. The loop is reported, and restarts become
  /// slow.
  var loopCrashes = 5
  /// Delay between the restarts of a child in a crash loop.
  var slow: Duration = .seconds(30)

  public static let standard = RestartPolicy()

  /// - Parameters:
  ///   - crashes: number of crashes within the window, including the present one.
  ///   - random: uniform. It shortens the delay by up to half, so that children that ended together
  ///     do not restart together.
  func delay(crashes: Int, isLooping: Bool, random: UInt64) -> Duration {
    let fraction = Double(random >> 11) / Double(1 << 53)
    // 2^16 × 100 ms is far above `longest`. A larger exponent would only overflow.
    let exponent = min(max(crashes - 1, 0), 16)
    let full = isLooping ? slow : min(first * (1 << exponent), longest)
    return full * (0.5 + fraction / 2)
  }
}
