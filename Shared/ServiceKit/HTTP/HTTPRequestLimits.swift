import Limits
import NIOCore

/// Limits of a port on the time, size and origin of HTTP requests.
struct HTTPRequestLimits: Sendable {
  /// Maximum time from a request's first byte, or the start of a new connection, to the end of the
  /// head.
  var head: TimeAmount
  /// Maximum time from the end of the head to the end of the body, plus `bodyPerMiB` for each MiB
  /// of the body.
  var body: TimeAmount
  var bodyPerMiB: TimeAmount
  /// Maximum time between two requests on one connection.
  var idle: TimeAmount
  var maxBodyBytes: Int
  /// Whether the rest of a body above `Limits.smallBody` stays in the socket until the application
  /// asks for it with `ClientConnection.readBody()`.
  var holdsBodies = false
  /// Paths that are also answered on a reserved connection.
  var reservedPaths: Set<String> = []
  /// Accepted host names and web origins while no key is required; `nil` means all.
  var access: HTTPAccess?
  /// Whether requests need a key now.
  var requiresKeys: @Sendable () -> Bool = { false }
  /// Maximum time for which a client's bytes are read and discarded after the server has closed its
  /// side. Closing both sides immediately would reset the connection, and the client would not see
  /// the error.
  var linger: TimeAmount = .seconds(2)
  /// Maximum time for which the connection stays unwritable because the client does not read.
  var stall: TimeAmount = .milliseconds(Int64(Limits.readerStall.value))

  /// Maximum time for a body of the declared length. Received bytes beyond it count, too.
  func bodyTime(received: Int, declared: Int) -> TimeAmount {
    let bytes = Int64(max(received, declared))
    let extra = bytes * (bodyPerMiB.nanoseconds / 1_024) / 1_024
    return body + .nanoseconds(extra)
  }
}
