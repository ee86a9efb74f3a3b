import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Synchronization
import Telemetry

/// Logs one line for each answered request, after the last byte of its body was written.
///
/// Requests that are refused before a route is found are not logged: they have an invalid head or a
/// wrong host name, or they are too large.
struct AccessLog: Sendable {
  let logger: Logger
  /// Paths whose requests are not logged, because machines ask for them every few seconds.
  let quietPaths: Set<String>

  /// Begins the line of a request. `nil` means that the request is not logged.
  func begin(_ request: Request) -> AccessLogEntry? {
    guard !quietPaths.contains(request.uri.path) else { return nil }
    ClientConnection.current?.forgetKeyOfRequest()
    return AccessLogEntry(request, logger)
  }
}

/// The line of one request. If the server drops the answer, the line is written when the entry is
/// released.
final class AccessLogEntry: Sendable {
  private struct State {
    var status = 0
    var bytes = 0
    var trace: String?
    var key: KeyID?
    var isOver = false
  }

  /// Maximum bytes of the path, which the client chooses.
  private static let pathBytes = 200

  private let method: String
  private let path: String
  private let logger: Logger
  private let started = ContinuousClock.now
  private let state = Mutex(State())

  init(_ request: Request, _ logger: Logger) {
    method = request.method.rawValue
    // Without the query, which may hold a key.
    path = request.uri.path.cut(toBytes: Self.pathBytes)
    self.logger = logger
  }

  deinit { end(isCut: true) }

  /// The same answer, which ends this line after its body.
  func following(_ response: Response, trace: HTTPField.Name?) -> Response {
    state.withLock {
      $0.status = response.status.code
      $0.trace = trace.flatMap { response.headers[$0] }
      $0.key = ClientConnection.current?.keyOfRequest
    }
    var response = response
    let body = response.body
    response.body = ResponseBody(contentLength: body.contentLength) { [self] writer in
      do {
        try await body.write(CountingWriter(base: writer, entry: self))
      } catch {
        end(isCut: true)
        throw error
      }
      end(isCut: false)
    }
    return response
  }

  func add(_ bytes: Int) { state.withLock { $0.bytes += bytes } }

  private func end(isCut: Bool) {
    let ended = state.withLock { state -> State? in
      guard !state.isOver else { return nil }
      state.isOver = true
      return state
    }
    // A request without a status has no answer: its connection broke.
    guard let ended, ended.status > 0 else { return }
    var metadata: Logger.Metadata = [
      LogKey.method: "\(method)", LogKey.path: "\(path)", LogKey.status: "\(ended.status)",
      "bytes": "\(ended.bytes)",
      LogKey.milliseconds: "\(started.duration(to: .now).wholeMilliseconds)",
    ]
    if let trace = ended.trace { metadata[LogKey.trace] = "\(trace)" }
    if let key = ended.key { metadata["key"] = "\(key)" }
    if isCut { metadata["cut"] = "true" }
    logger.info("request", metadata: metadata)
  }

  private struct CountingWriter: ResponseBodyWriter {
    var base: any ResponseBodyWriter
    let entry: AccessLogEntry

    @concurrent
    mutating func write(_ buffer: ByteBuffer) async throws {
      let count = buffer.readableBytes
      try await base.write(buffer)
      entry.add(count)
    }

    @concurrent
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
      try await base.finish(trailingHeaders)
    }
  }
}
