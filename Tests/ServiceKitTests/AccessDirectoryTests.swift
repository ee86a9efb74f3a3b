import Access
import BusCore
import ClusterModel
import Logging
import Synchronization
import Testing

@testable import ServiceKit

private let secret = Array(UInt8(0)..<32)

private func page(
  _ number: Int, of pages: Int, epoch: UInt64 = 1, revision: UInt64
) throws -> AccessTablePage {
  AccessTablePage(
    version: AccessTableVersion(epoch: epoch, revision: revision), page: number, pages: pages,
    isOpen: true, pepper: try #require(KeyPepper(secret)), records: [])
}

@Suite("Copy of the keys")
struct AccessDirectoryTests {
  private func directory(
    _ answers: [Result<AccessTablePage, Failure>], asked: Counter = Counter()
  ) -> AccessDirectory {
    AccessDirectory(
      ask: { number throws(Failure) in
        let index = asked.next(number)
        guard index < answers.count else { throw Failure(.cancelled, "the test has no answer") }
        return try answers[index].get()
      }, pause: { _ in if asked.pages.count >= answers.count { throw CancellationError() } },
      logger: Logger(label: "test"))
  }

  @Test("it asks for all pages at the start, and again after an unanswered request")
  func start() async throws {
    let asked = Counter()
    let directory = directory(
      [
        .failure(Failure(.cancelled, "no registry")), .success(try page(0, of: 2, revision: 3)),
        .success(try page(1, of: 2, revision: 3)),
      ], asked: asked)
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await directory.run() }
      while directory.table == nil { await Task.yield() }
      group.cancelAll()
    }
    #expect(directory.table?.version.revision == 3)
    #expect(asked.pages == [0, 0, 1])
  }

  @Test("a published page replaces the table, and an unknown version raises a question")
  func published() async throws {
    let asked = Counter()
    let directory = directory([.success(try page(0, of: 1, epoch: 1, revision: 9))], asked: asked)
    #expect(directory.apply(.accessTablePage(try page(0, of: 1, epoch: 2, revision: 1))))
    #expect(directory.table?.version == AccessTableVersion(epoch: 2, revision: 1))
    #expect(!directory.apply(.ack))
    // The registry's clock was set back, so its epoch is lower. The registry is alive, because it
    // answers.
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await directory.run() }
      while directory.table?.version.epoch == 2 { await Task.yield() }
      group.cancelAll()
    }
    #expect(directory.table?.version == AccessTableVersion(epoch: 1, revision: 9))
  }
}

/// The pages that were asked for.
private final class Counter: Sendable {
  private let state = Mutex<[Int]>([])
  var pages: [Int] { state.withLock(\.self) }

  /// - Returns: the number of earlier requests.
  func next(_ page: Int) -> Int {
    state.withLock {
      $0.append(page)
      return $0.count - 1
    }
  }
}
