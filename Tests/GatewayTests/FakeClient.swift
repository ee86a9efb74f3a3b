import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

/// A client that keeps the pieces it receives, until it leaves.
struct FakeClient: ResponseBodyWriter {
  final class Received: Sendable {
    private struct State {
      var pieces: [String] = []
      var hasEnd = false
      var hasLeft = false
    }

    private struct Gone: Error {}

    private let state = Mutex(State())

    var pieces: [String] { state.withLock(\.pieces) }
    var text: String { pieces.joined() }
    /// Pieces that are events, without SSE comments.
    var events: [String] { pieces.filter { $0.hasPrefix("data: ") } }
    var hasEnd: Bool { state.withLock(\.hasEnd) }

    func leave() { state.withLock { $0.hasLeft = true } }

    fileprivate func add(_ piece: String) throws {
      try state.withLock {
        if $0.hasLeft { throw Gone() }
        $0.pieces.append(piece)
      }
    }

    fileprivate func end() throws {
      try state.withLock {
        if $0.hasLeft { throw Gone() }
        $0.hasEnd = true
      }
    }
  }

  let received: Received

  mutating func write(_ buffer: ByteBuffer) async throws {
    try received.add(String(buffer: buffer))
  }

  consuming func finish(_ trailingHeaders: HTTPFields?) async throws { try received.end() }
}
