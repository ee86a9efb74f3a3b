/// Exit status of a process, with the numbers of sysexits.h.
public enum ExitStatus: Int32, Sendable {
  case done = 0
  case failed = 1
  /// The command or its configuration is wrong; a retry changes nothing.
  case usage = 64
  /// A required resource is taken or missing: a service, a host, a port, a file, a library.
  case unavailable = 69
  /// A resource is in use or overloaded; a later attempt may succeed.
  case tryLater = 75
}

/// Why a service or a command ends: an exit status and one sentence that says what to do.
public struct ProcessFailure: Error, Hashable, Sendable, CustomStringConvertible {
  public var status: ExitStatus
  public var message: String

  public init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { message }
}
