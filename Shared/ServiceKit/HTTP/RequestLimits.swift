import Limits
import NIOCore

/// Limits on the time and size of a client's requests.
struct RequestLimits: Sendable {
  /// From a request's first byte, or the start of a new connection, to the end of the head.
  var head: TimeAmount
  /// From the end of the head to the end of the body, plus `bodyPerMiB` for each MiB of it.
  var body: TimeAmount
  var bodyPerMiB: TimeAmount
  /// Between two requests on one connection.
  var idle: TimeAmount
  var maxBodyBytes: Int
  /// Paths that are also answered on a reserved connection.
  var reservedPaths: Set<String> = []
  /// Accepted host names and web origins while no key is required; `nil` means all.
  var access: HTTPAccess?
  /// Whether requests need a key now.
  var requiresKeys: @Sendable () -> Bool = { false }
  /// How long to read and discard a client's bytes after a refusal. Closing at once would reset the
  /// connection, and the client would not see the error.
  var linger: TimeAmount = .seconds(2)
  /// How long the connection may stay unwritable because the client does not read.
  var stall: TimeAmount = .milliseconds(Int64(Limits.readerStall.value))
}
