/// Exit status of a command, with the numbers of sysexits.h.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  case failed = 1
  /// The command or its configuration is wrong; a retry changes nothing.
  case usage = 64
  /// A service, host or file that the command needs is missing.
  case unavailable = 69
  /// A resource is in use or overloaded; a later attempt may succeed.
  case tryLater = 75
}

/// Why a command fails, as one sentence with the next step, and the exit status.
public struct CommandFailure: Error, Equatable, Sendable, CustomStringConvertible {
  public var status: ExitStatus
  public var message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { message }
}
