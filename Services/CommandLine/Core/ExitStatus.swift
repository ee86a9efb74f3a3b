/// How a command ended, as the shell that ran it sees it (sysexits.h).
public enum ExitStatus: Int32, Sendable {
  case done = 0
  case failed = 1
  /// The command or its configuration is wrong; trying again changes nothing.
  case usage = 64
  /// Something that it needs is not there.
  case unavailable = 69
  /// Somebody else has it now.
  case tryLater = 75
}

/// Why a command cannot go on: one sentence that says what to do, and the status it ends with.
public struct CommandFailure: Error, Equatable, Sendable, CustomStringConvertible {
  public var status: ExitStatus
  public var message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { message }
}
