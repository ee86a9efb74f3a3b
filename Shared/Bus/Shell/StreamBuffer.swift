public import BusCore
public import ClusterModel
import Synchronization

/// Received but unread items of an outgoing stream.
final class StreamBuffer: Sendable {
  private struct State {
    var items: [(body: Body, bytes: Int)] = []
    var head = 0
    var bytes = 0
    var end: Result<Void, Failure>?
    var reader: CheckedContinuation<Result<Body?, Failure>, Never>?
  }

  private let state = Mutex(State())
  private let limit: Int
  private let total: StreamBytes

  init(limit: Int, total: StreamBytes) {
    self.limit = limit
    self.total = total
  }

  deinit {
    total.remove(state.withLock(\.bytes))
  }

  /// - Returns: `false` if the reader is too slow and the stream must be cut.
  func add(_ body: Body, bytes: Int) -> Bool {
    let (reader, fits) = state.withLock {
      state -> (CheckedContinuation<Result<Body?, Failure>, Never>?, Bool) in
      guard state.end == nil else { return (nil, true) }
      if let reader = state.reader {
        state.reader = nil
        return (reader, true)
      }
      guard state.bytes + bytes <= limit, total.add(bytes) else { return (nil, false) }
      state.items.append((body, bytes))
      state.bytes += bytes
      return (nil, true)
    }
    reader?.resume(returning: .success(body))
    return fits
  }

  func end(_ failure: Failure?) {
    let result: Result<Void, Failure> = failure.map { .failure($0) } ?? .success(())
    let reader = state.withLock { state -> CheckedContinuation<Result<Body?, Failure>, Never>? in
      guard state.end == nil else { return nil }
      state.end = result
      defer { state.reader = nil }
      return state.reader
    }
    reader?.resume(returning: result.map { nil })
  }

  /// Returns the next item, or the end if no item is left. `nil` means that the stream ended
  /// without an error.
  func next() async -> Result<Body?, Failure> {
    await withCheckedContinuation { continuation in
      let now = state.withLock { state -> Result<Body?, Failure>? in
        if state.head < state.items.count {
          let (body, bytes) = state.items[state.head]
          // Drop the item now, so that its memory is freed before the buffer is next compacted.
          state.items[state.head] = (.ack, 0)
          state.head += 1
          state.bytes -= bytes
          total.remove(bytes)
          if state.head == state.items.count {
            state.items.removeAll(keepingCapacity: true)
            state.head = 0
          } else if state.head >= 256, state.head * 2 >= state.items.count {
            state.items.removeFirst(state.head)
            state.head = 0
          }
          return .success(body)
        }
        if let end = state.end { return end.map { nil } }
        precondition(state.reader == nil, "a stream has one reader")
        state.reader = continuation
        return nil
      }
      if let now { continuation.resume(returning: now) }
    }
  }
}

/// Counts the unread bytes in all streams of the process.
final class StreamBytes: Sendable {
  private let bytes = Mutex(0)
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  func add(_ count: Int) -> Bool {
    bytes.withLock { bytes in
      guard bytes + count <= limit else { return false }
      bytes += count
      return true
    }
  }

  func remove(_ count: Int) { bytes.withLock { $0 -= count } }
}

/// Items of a stream opened by `Bus.stream`. The sequence can be iterated once and ends when the
/// peer ends the stream. Leaving the `for` loop early, or cancelling its Swift task, cancels the
/// stream at the peer.
public struct BusStream: AsyncSequence, Sendable {
  public typealias Element = Body
  public typealias Failure = ClusterModel.Failure

  /// The peer that the request was sent to; `nil` if it was not sent.
  public let peer: PeerID?
  let lease: StreamLease

  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(lease: lease, reader: Reader(lease))
  }

  /// Cancels the stream when its iterator is freed, even if the stream itself is still referenced.
  final class Reader: Sendable {
    private let lease: StreamLease
    init(_ lease: StreamLease) { self.lease = lease }
    deinit { lease.cancel() }
  }

  public struct AsyncIterator: AsyncIteratorProtocol {
    let lease: StreamLease
    let reader: Reader

    public mutating func next() async throws(ClusterModel.Failure) -> Body? {
      try await next(isolation: nil)
    }

    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(ClusterModel.Failure) -> Body? {
      let lease = lease
      let result = await withTaskCancellationHandler {
        await lease.buffer.next()
      } onCancel: {
        lease.cancel()
      }
      return try result.get()
    }
  }
}

/// Keeps a stream open while a reader can still exist.
final class StreamLease: Sendable {
  let id: UInt64
  let buffer: StreamBuffer
  private let bus: Bus

  init(id: UInt64, buffer: StreamBuffer, bus: Bus) {
    self.id = id
    self.buffer = buffer
    self.bus = bus
  }

  func cancel() {
    buffer.end(Failure(.cancelled, "the reader was cancelled"))
    bus.abandonStream(id)
  }

  deinit { bus.abandonStream(id) }
}

/// Sends the items of a stream from its handler.
public struct StreamWriter: Sendable {
  let key: RequestKey
  let bus: Bus
  private let order = Order()

  init(key: RequestKey, bus: Bus) {
    self.key = key
    self.bus = bus
  }

  /// Keeps items in sequence order if several Swift tasks write them.
  private final class Order: Sendable {
    let lock = Mutex(())
  }

  /// Queues one item. Never blocks.
  /// - Throws: `cancelled` if the stream has no reader any more; `slowReader` if the outbox to the
  ///   reader is full and the stream is cut; `messageTooLarge`.
  public func send(_ body: Body) throws(Failure) {
    let result = order.lock.withLock { _ in
      Result { () throws(Failure) in try bus.sendItem(key, body) }
    }
    try result.get()
  }
}
