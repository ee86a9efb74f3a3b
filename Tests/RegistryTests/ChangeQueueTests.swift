import ClusterModel
import Limits
import Store
import Synchronization
import Testing

@testable import RegistryService

@Suite("The queue of admins' changes", .timeLimit(.minutes(2)))
struct ChangeQueueTests {
  private static let lost = Failure(.storeUnreachable, "away")

  /// A store that does not respond to the first reads, and the number of reads.
  private final class Reads: Sendable {
    private let state: Mutex<(count: Int, failures: Int)>

    init(failures: Int) { state = Mutex((0, failures)) }

    var count: Int { state.withLock(\.count) }
    var hasSucceeded: Bool { state.withLock { $0.count > $0.failures } }

    func read() throws(Failure) {
      let fails = state.withLock { state in
        state.count += 1
        return state.count <= state.failures
      }
      if fails { throw ChangeQueueTests.lost }
    }
  }

  /// Runs the queue during the body. An order below zero loses the store's answer.
  private func run(
    _ queue: ChangeQueue<Int, Int>, _ reads: Reads, _ body: () async throws -> Void
  ) async throws {
    let running = Task {
      await queue.run(restore: { () throws(Failure) in try reads.read() }) {
        (order: Int) throws(Failure) in
        guard order < 0 else { return order * 2 }
        queue.markStale()
        throw Self.lost
      }
    }
    let result: Result<Void, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    running.cancel()
    await running.value
    try result.get()
  }

  private func lose(_ queue: ChangeQueue<Int, Int>) async {
    let error = await #expect(throws: Failure.self) { try await queue.submit(-1) }
    #expect(error == Self.lost)
  }

  /// A pause that ends at once.
  private static func pause() async throws {
    try Task.checkCancellation()
    await Task.yield()
  }

  /// A pause that ends only by cancellation.
  private static func longPause() async throws {
    for await _ in AsyncStream.makeStream(of: Never.self).stream {}
    throw CancellationError()
  }

  @Test("records are read again before an order whose outcome is unknown is answered")
  func atOnce() async throws {
    let reads = Reads(failures: 0)
    let queue = ChangeQueue<Int, Int>(pause: Self.longPause)
    try await run(queue, reads) {
      let done1 = try await queue.submit(1)
      #expect(done1 == 2)
      #expect(reads.count == 0)
      await lose(queue)
      #expect(reads.count == 1)
      let done2 = try await queue.submit(2)
      #expect(done2 == 4)
      #expect(reads.count == 1)
    }
  }

  @Test("if the store does not respond, orders are refused until its records were read")
  func refused() async throws {
    let reads = Reads(failures: 2)
    let queue = ChangeQueue<Int, Int>(pause: Self.longPause)
    try await run(queue, reads) {
      await lose(queue)
      await #expect(throws: Self.lost) { try await queue.submit(1) }
      let done1 = try await queue.submit(1)
      #expect(done1 == 2)
      #expect(reads.count == 3)
    }
  }

  @Test("records are read again without another order, until the store responds")
  func later() async throws {
    let reads = Reads(failures: 4)
    let queue = ChangeQueue<Int, Int>(pause: Self.pause)
    try await run(queue, reads) {
      await lose(queue)
      while !reads.hasSucceeded { try await Self.pause() }
      let done3 = try await queue.submit(3)
      #expect(done3 == 6)
      #expect(reads.count == 5)
    }
  }

  @Test("an order is not begun if its admin has left, and more orders than the limit are refused")
  func abandoned() async throws {
    let queue = ChangeQueue<Int, Int>(pause: Self.longPause)
    // The queue does not run yet, so no order is carried out.
    let limit = Limits.waitingChanges.value
    var admins: [Task<Int, any Error>] = []
    for number in 0..<limit {
      admins.append(Task { try await queue.submit(number) })
      while queue.waitingCount <= number { await Task.yield() }
    }
    let refusal = await #expect(throws: Failure.self) { try await queue.submit(limit) }
    #expect(refusal?.code == .overloaded)
    for admin in admins.dropFirst().dropLast() {
      admin.cancel()
      await #expect(throws: Failure.self) { try await admin.value }
    }
    let begun = Mutex<[Int]>([])
    let running = Task {
      await queue.run { (order: Int) throws(Failure) in
        begun.withLock { $0.append(order) }
        return order * 2
      }
    }
    let last = try await admins[limit - 1].value
    #expect(last == (limit - 1) * 2)
    #expect(begun.withLock(\.self) == [0, limit - 1])
    #expect(queue.waitingCount == 0)
    running.cancel()
    await running.value
  }
}
