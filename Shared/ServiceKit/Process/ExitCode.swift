/// Exit codes of a process.
public enum ExitCode: Int32, Sendable {
  case done = 0
  case failed = 1
  /// Wrong usage or configuration.
  case configuration = 64
  /// A required resource is taken or missing: a port, a directory, a library.
  case unavailable = 69
  case tryLater = 75
}

/// Why a service could not start or continue: an exit code and one sentence that says what to do.
/// Thrown by `build` and by services, printed by `ServiceMain`.
public struct ServiceFailure: Error, Hashable, Sendable, CustomStringConvertible {
  public var exitCode: ExitCode
  public var message: String

  public init(_ exitCode: ExitCode, _ message: String) {
    self.exitCode = exitCode
    self.message = message
  }

  public var description: String { message }
}
