import ClusterModel
import Overload
import Synchronization
import Testing

@Suite("Clients take turns", .timeLimit(.minutes(1)))
struct ClientTurnsTests {
  private let flood: UInt64 = 1
  private let other: UInt64 = 2

  /// Clients in the order of their turns.
  private final class Order: Sendable {
    private let state = Mutex<[UInt64]>([])

    var clients: [UInt64] { state.withLock(\.self) }

    func append(_ client: UInt64) { state.withLock { $0.append(client) } }
  }

  @Test("a client with a hundred waiting jobs delays another by one job")
  func turns() async throws {
    let turns = ClientTurns(limit: 1)
    let order = Order()
    var running: ClientTurns.Turn? = try await turns.enter(for: flood)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for client in Array(repeating: flood, count: 100) + [other] {
        let waiting = turns.waitingCount
        group.addTask {
          let turn = try await turns.enter(for: client)
          order.append(client)
          withExtendedLifetime(turn) {}
        }
        while turns.waitingCount == waiting { await Task.yield() }
      }
      withExtendedLifetime(running) {}
      running = nil
      try await group.waitForAll()
    }
    let served = order.clients
    #expect(served.count == 101)
    #expect(served.prefix(2).contains(other))
    #expect(turns.waitingCount == 0)
  }

  @Test("a client that leaves while it waits takes no turn")
  func leaves() async throws {
    let turns = ClientTurns(limit: 1)
    var running: ClientTurns.Turn? = try await turns.enter(for: other)
    let code = await withTaskGroup(of: Failure.Code?.self) { group in
      group.addTask {
        do throws(Failure) {
          _ = try await turns.enter(for: flood)
          return nil
        } catch {
          return error.code
        }
      }
      while turns.waitingCount == 0 { await Task.yield() }
      group.cancelAll()
      return await group.next() ?? nil
    }
    #expect(code == .cancelled)
    withExtendedLifetime(running) {}
    running = nil
    withExtendedLifetime(try await turns.enter(for: other)) {}
  }
}
