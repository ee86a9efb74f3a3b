import Access
import ClusterModel
import Testing

@Suite("Access table in pages")
struct AccessTableFeedTests {
  private func pages(
    epoch: UInt64 = 1, revision: UInt64, keys: Range<UInt64>, each: Int = 2
  ) throws -> [AccessTablePage] {
    let records = try keys.map { try sampleRecord(try sampleKey($0)) }
    let parts = stride(from: 0, to: records.count, by: each)
      .map { Array(records[$0..<min($0 + each, records.count)]) }
    return try parts.enumerated().map { number, part in
      AccessTablePage(
        version: AccessTableVersion(epoch: epoch, revision: revision), page: number,
        pages: parts.count, isOpen: false, pepper: try samplePepper(), records: part)
    }
  }

  @Test("a table is replaced when its last page arrives, in any order")
  func order() throws {
    let pages = try pages(revision: 1, keys: 0..<6)
    var feed = AccessTableFeed()
    #expect(feed.received(pages[2]) == .incomplete(missing: 2))
    #expect(feed.received(pages[0]) == .incomplete(missing: 1))
    #expect(feed.table == nil)
    #expect(feed.received(pages[1]) == .replaced)
    #expect(feed.table?.count == 6)
    #expect(feed.table?[try sampleKey(5).id] != nil)
  }

  @Test("an incomplete table never replaces a whole one")
  func incomplete() throws {
    var feed = AccessTableFeed()
    for page in try pages(revision: 1, keys: 0..<4) { _ = feed.received(page) }
    let next = try pages(revision: 2, keys: 10..<14)
    #expect(feed.received(next[0]) == .incomplete(missing: 1))
    #expect(feed.received(next[0]) == .ignored)
    #expect(feed.table?.version.revision == 1)
    #expect(feed.received(next[1]) == .replaced)
    #expect(feed.table?.version.revision == 2)
  }

  @Test("pages of older revisions and older epochs are ignored, and a new epoch begins again")
  func versions() throws {
    var feed = AccessTableFeed()
    for page in try pages(epoch: 2, revision: 5, keys: 0..<2) { _ = feed.received(page) }
    for (epoch, revision) in [(2, 5), (2, 4), (1, 9)] as [(UInt64, UInt64)] {
      let old = try pages(epoch: epoch, revision: revision, keys: 0..<2)
      #expect(feed.received(old[0]) == .ignored)
    }
    let restarted = try pages(epoch: 3, revision: 1, keys: 0..<2)
    #expect(feed.received(restarted[0]) == .replaced)
  }

  @Test("pages of a version that a newer one overtook are ignored")
  func overtaken() throws {
    var feed = AccessTableFeed()
    let (old, new) = (
      try pages(revision: 1, keys: 0..<4), try pages(revision: 2, keys: 0..<4)
    )
    #expect(feed.received(old[0]) == .incomplete(missing: 1))
    #expect(feed.received(new[1]) == .incomplete(missing: 1))
    #expect(feed.received(old[1]) == .ignored)
    #expect(feed.received(new[0]) == .replaced)
  }

  @Test(
    "numbers that no table has are ignored",
    arguments: [(0, 0), (1, 1), (-1, 2), (0, -1), (0, 257), (.max, .max), (.min, .max)])
  func implausible(page: Int, pages: Int) throws {
    var feed = AccessTableFeed()
    let outcome = feed.received(
      AccessTablePage(
        version: AccessTableVersion(epoch: 1, revision: 1), page: page, pages: pages,
        isOpen: false, pepper: try samplePepper(), records: []))
    #expect(outcome == .ignored)
    #expect(feed.table == nil)
  }

  @Test("a page that contradicts its version is ignored")
  func contradiction() throws {
    var feed = AccessTableFeed()
    let version = AccessTableVersion(epoch: 1, revision: 1)
    func page(_ number: Int, of pages: Int, isOpen: Bool = false) throws -> AccessTablePage {
      AccessTablePage(
        version: version, page: number, pages: pages, isOpen: isOpen,
        pepper: try samplePepper(), records: [])
    }
    #expect(feed.received(try page(0, of: 2)) == .incomplete(missing: 1))
    #expect(feed.received(try page(1, of: 3)) == .ignored)
    #expect(feed.received(try page(1, of: 2, isOpen: true)) == .ignored)
    #expect(feed.received(try page(1, of: 2)) == .replaced)
  }

  @Test("a divided table is assembled to itself, and a table without keys has one page")
  func division() throws {
    let version = AccessTableVersion(epoch: 1, revision: 1)
    for count in [0, 1, 300] as [UInt64] {
      let records = try (0..<count).map { number in
        var record = try sampleRecord(try sampleKey(number))
        record.name = String(repeating: "n", count: 3_000)
        return record
      }
      let pages = AccessTablePage.pages(
        version: version, isOpen: false, pepper: try samplePepper(), records: records)
      #expect(pages.count == (count == 300 ? 2 : 1))
      var feed = AccessTableFeed()
      for page in pages.reversed() { _ = feed.received(page) }
      #expect(feed.table == (try sampleTable(records)))
    }
  }

  @Test("lost, repeated and reordered pages end with the newest whole table", arguments: 0..<50)
  func faults(seed: UInt64) throws {
    var rng = SplitMix64(seed: seed)
    var network = try (1...6).flatMap { revision in
      let first = UInt64(revision) * 10
      return try pages(revision: UInt64(revision), keys: first..<first + 5)
    }
    network += network
    network.shuffle(using: &rng)
    network.removeLast(10)
    var feed = AccessTableFeed()
    for page in network {
      let before = feed.table?.version
      let outcome = feed.received(page)
      if let before, let after = feed.table?.version { #expect(after >= before) }
      if outcome == .replaced { #expect(feed.table?.version == page.version) }
      if let table = feed.table { #expect(table.count == 5) }
    }
    for page in try pages(revision: 7, keys: 0..<5) { _ = feed.received(page) }
    #expect(feed.table?.version.revision == 7)
  }
}
