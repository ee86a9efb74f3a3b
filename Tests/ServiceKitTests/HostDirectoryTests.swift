import BusCore
import ClusterModel
import Logging
import Synchronization
import Testing

@testable import ServiceKit

private func table(_ epoch: UInt64, _ revision: UInt64) -> HostTable {
  HostTable(
    epoch: epoch, revision: revision, hosts: [Host(id: HostID("h\(revision)"), url: "http://h")])
}

@Suite("Host table feed")
struct HostTableFeedTests {
  @Test("the first table and each next one are taken without a question")
  func inOrder() {
    var feed = HostTableFeed()
    #expect(!feed.hasTable)
    #expect(feed.published(table(1, 5)) == .none)
    #expect(feed.published(table(1, 6)) == .none)
    #expect(feed.table == table(1, 6))
    #expect(feed.hasTable)
  }

  @Test("a hole is taken and asked about")
  func gap() {
    var feed = HostTableFeed()
    _ = feed.published(table(1, 5))
    #expect(feed.published(table(1, 8)) == .ask)
    #expect(feed.table == table(1, 8))
  }

  @Test("late mail is ignored")
  func late() {
    var feed = HostTableFeed()
    _ = feed.published(table(1, 5))
    #expect(feed.published(table(1, 5)) == .none)
    #expect(feed.published(table(1, 4)) == .none)
    #expect(feed.table == table(1, 5))
  }

  @Test("a new registry's table is taken although its revisions begin again")
  func newEpoch() {
    var feed = HostTableFeed()
    _ = feed.published(table(1, 50))
    #expect(feed.published(table(2, 0)) == .ask)
    #expect(feed.table == table(2, 0))
  }

  @Test("the last words of an old registry do not replace a new one's table, but raise a question")
  func oldEpoch() {
    var feed = HostTableFeed()
    _ = feed.published(table(2, 3))
    #expect(feed.published(table(1, 99)) == .ask)
    #expect(feed.table == table(2, 3))
  }

  @Test("an answer counts, also from a registry whose clock went back, unless it was overtaken")
  func answers() {
    var feed = HostTableFeed()
    _ = feed.published(table(2, 3))
    feed.answered(table(1, 0))
    #expect(feed.table == table(1, 0))
    _ = feed.published(table(1, 1))
    feed.answered(table(1, 0))
    #expect(feed.table == table(1, 1))
  }
}

@Suite("Changes in the host table feed")
struct HostChangesFeedTests {
  private func changes(_ base: UInt64, _ revision: UInt64, epoch: UInt64 = 1) -> HostChanges {
    HostChanges(
      epoch: epoch, base: base, revision: revision,
      changed: base == revision ? [] : table(epoch, revision).hosts,
      removed: base == revision ? [] : table(epoch, base).hosts.map(\.id))
  }

  @Test("changes that follow the own table are applied, and late ones are ignored")
  func inOrder() {
    var feed = HostTableFeed()
    _ = feed.published(table(1, 5))
    #expect(feed.published(changes(5, 8)) == .none)
    #expect(feed.table == table(1, 8))
    #expect(feed.published(changes(5, 7)) == .none)
    #expect(feed.published(changes(8, 8)) == .none)
    #expect(feed.table == table(1, 8))
  }

  @Test(
    "changes of another table than the own one are a reason to request the whole table",
    arguments: [(6, 7, 1), (7, 7, 1), (5, 6, 2), (4, 6, 1)] as [(UInt64, UInt64, UInt64)])
  func gaps(base: UInt64, revision: UInt64, epoch: UInt64) {
    var feed = HostTableFeed()
    _ = feed.published(table(1, 5))
    #expect(feed.published(changes(base, revision, epoch: epoch)) == .ask)
    #expect(feed.table == table(1, 5))
  }

  @Test("changes before the first table are a reason to request the whole table")
  func first() {
    var feed = HostTableFeed()
    #expect(feed.published(changes(5, 6)) == .ask)
    #expect(!feed.hasTable)
  }

  @Test("lists of an earlier table are dropped")
  func lists() {
    var feed = HostTableFeed()
    _ = feed.published(table(1, 5))
    let indexed = feed.table.indexed()
    _ = feed.published(table(1, 6))
    feed.addLists(from: indexed)
    #expect(feed.table == table(1, 6) && !feed.table.hasLists)
    feed.addLists(from: feed.table.indexed())
    #expect(feed.table == table(1, 6) && feed.table.hasLists)
  }
}

@Suite("Load table feed")
struct LoadTableFeedTests {
  private func table(_ epoch: UInt64, _ revision: UInt64) -> LoadTable {
    LoadTable(epoch: epoch, revision: revision, hosts: [], merged: [])
  }

  private func at(_ duration: Duration) -> Instant { Instant(sinceStart: duration) }

  @Test("a late table of an older registry does not replace a newer registry's table")
  func oldEpoch() {
    var feed = LoadTableFeed()
    #expect(feed.load(now: .zero) == nil)
    feed.published(table(2, 3), now: .zero)
    feed.published(table(1, 99), now: at(LoadRhythm.idleInterval))
    #expect(feed.load(now: at(.seconds(3)))?.table == table(2, 3))
    #expect(feed.load(now: at(.seconds(3)))?.age == .seconds(3))
  }

  @Test("a registry whose clock stepped back is accepted after the newer one has been silent")
  func clockSteppedBack() {
    var feed = LoadTableFeed()
    feed.published(table(2, 3), now: .zero)
    feed.published(table(1, 1), now: at(LoadRhythm.silence))
    #expect(feed.load(now: at(LoadRhythm.silence))?.table == table(1, 1))
    feed.published(table(1, 2), now: at(LoadRhythm.silence * 2))
    feed.published(table(1, 2), now: at(LoadRhythm.silence * 3))
    #expect(feed.load(now: at(LoadRhythm.silence * 3))?.table == table(1, 2))
    #expect(feed.load(now: at(LoadRhythm.silence * 3))?.age == LoadRhythm.silence)
  }
}

@Suite("Host directory")
struct HostDirectoryTests {
  /// A registry that answers after some failures, and reports each request on a stream.
  private final class Registry: Sendable {
    let (asked, wasAsked) = AsyncStream<Int>.makeStream()
    private let state: Mutex<(count: Int, failures: Int, revision: UInt64)>

    init(failures: Int) { state = Mutex((0, failures, 1)) }

    @Sendable func ask() throws(Failure) -> HostTable {
      let (fails, count, revision) = state.withLock { state in
        state.count += 1
        state.failures -= 1
        return (state.failures >= 0, state.count, state.revision)
      }
      defer { wasAsked.yield(count) }
      if fails { throw Failure(.noPeer, "No registry is there.") }
      return table(1, revision)
    }
  }

  @Test("it asks until it is answered, waiting longer each time", .timeLimit(.minutes(5)))
  func asksUntilAnswered() async {
    let registry = Registry(failures: 3)
    let pauses = Mutex<[Duration]>([])
    let directory = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in try registry.ask() },
      pause: { duration in pauses.withLock { $0.append(duration) } }, logger: Logger(label: "t"))
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await directory.run() }
      for await count in registry.asked where count == 4 { break }
      group.cancelAll()
    }
    #expect(directory.table == table(1, 1))
    #expect(
      pauses.withLock { $0 } == [.milliseconds(250), .milliseconds(500), .milliseconds(1_000)])
  }

  @Test("a hole in the publications makes it ask again", .timeLimit(.minutes(5)))
  func asksAgain() async {
    let registry = Registry(failures: 0)
    let directory = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in try registry.ask() },
      logger: Logger(label: "t"))
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await directory.run() }
      for await count in registry.asked {
        if count == 1 {
          // These tables and the answer may arrive in any order. Revision 9 leaves a gap in each
          // order.
          directory.apply(.hostTable(table(1, 2)))
          directory.apply(.hostTable(table(1, 9)))
        } else {
          break
        }
      }
      group.cancelAll()
    }
    #expect(directory.table == table(1, 9))
  }

  @Test("a directory that lists models does so for each table and for its changes")
  func lists() {
    let directory = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in throw Failure(.noPeer, "gone") },
      listsModels: true, logger: Logger(label: "t"))
    directory.apply(.hostTable(table(1, 1)))
    #expect(directory.table.hasLists)
    directory.apply(
      .hostChanges(
        HostChanges(
          epoch: 1, base: 1, revision: 2, changed: table(1, 2).hosts,
          removed: table(1, 1).hosts.map(\.id))))
    #expect(directory.table == table(1, 2) && directory.table.hasLists)
  }

  @Test("it keeps its table while the registry is gone, and takes only host tables")
  func keeps() {
    let directory = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in throw Failure(.noPeer, "gone") },
      logger: Logger(label: "t"))
    #expect(directory.table == .empty)
    #expect(!directory.apply(.ack))
    #expect(directory.apply(.hostTable(table(1, 1))))
    #expect(directory.table == table(1, 1))
  }

  @Test("a caller that waits for the first table gets it, or an error")
  func firstTable() async {
    let late = Mutex<HostDirectory?>(nil)
    let pauses = Mutex(0)
    let directory = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in throw Failure(.noPeer, "gone") },
      pause: { _ in
        guard
          pauses.withLock({
            $0 += 1; return $0 == 3
          })
        else { return }
        _ = late.withLock { $0 }?.apply(.hostTable(table(1, 1)))
      }, logger: Logger(label: "t"))
    #expect(await !directory.waitForTable(within: .zero))
    late.withLock { $0 = directory }
    #expect(await directory.waitForTable(within: .seconds(60)))
    #expect(pauses.withLock(\.self) == 3)
    late.withLock { $0 = nil }
  }

  @Test("it keeps the newest merged load and knows how old it is")
  func load() throws {
    let directory = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in throw Failure(.noPeer, "gone") },
      logger: Logger(label: "t"))
    #expect(directory.load == nil)
    func table(_ epoch: UInt64, _ revision: UInt64) -> LoadTable {
      LoadTable(epoch: epoch, revision: revision, hosts: [], merged: [])
    }
    #expect(directory.apply(.loadTable(table(1, 5))))
    directory.apply(.loadTable(table(1, 4)))
    #expect(directory.load?.table == table(1, 5))
    directory.apply(.loadTable(table(2, 1)))
    #expect(directory.load?.table == table(2, 1))
    directory.apply(.loadTable(table(1, 6)))
    #expect(directory.load?.table == table(2, 1))
    #expect(try #require(directory.load?.age) >= .zero)
    #expect(directory.table == .empty)
  }
}
