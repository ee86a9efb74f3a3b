import ClusterModel
import ClusterTesting
import Testing

@testable import Store

@Suite("Filters of the audit log", .mongoServer, .timeLimit(.minutes(5)))
struct AuditFilterTests {
  private static let authors = ["admin-token", "key tutti-abcdefgh2345"]

  /// Random changes by two admins. The clock is set back once.
  private func fill(_ store: any AccountStoring, seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &random) }
    for round in 0..<40 {
      let time = round < 25 ? round * 10 : round * 10 - 60
      let author = ChangeAuthor(name: Self.authors[number(0..<2)], time: Int64(time))
      var changes: [RecordChange] = []
      for _ in 0...number(0..<3) {
        let name = "k\(number(0..<3))"
        switch number(0..<5) {
        case 0, 1: changes.append(.saveKey(name, mac: [1], json: "{\"r\":\(round)}", .any))
        case 2: changes.append(.remove(.key(name), .any))
        case 3: changes.append(.saveSetting(name, json: "\(round)", .any))
        default: changes.append(.appendPrice(json: "{}"))
        }
      }
      _ = try await store.apply(changes, by: author)
    }
    try await store.recordChange(
      ofHost: "k1", before: nil, after: "{}",
      by: ChangeAuthor(name: Self.authors[0], time: 900))
  }

  private var queries: [AuditQuery] {
    let actions: [AuditAction?] = [nil, .create, .change, .remove]
    var queries: [AuditQuery] = []
    for kind in [nil, "key", "price", "never"] {
      for id in [nil, "k1"] {
        for author in [nil, Self.authors[1]] {
          for action in actions {
            for times in [Int64.min..<Int64.max, 100..<300] {
              queries.append(
                AuditQuery(kind: kind, id: id, author: author, action: action, times: times))
            }
          }
        }
      }
    }
    return queries
  }

  private func matches(_ record: AuditRecord, _ query: AuditQuery) -> Bool {
    (query.kind ?? record.kind) == record.kind && (query.id ?? record.id) == record.id
      && (query.author ?? record.author.name) == record.author.name
      && (query.action ?? record.action) == record.action
      && query.times.contains(record.author.time)
  }

  @Test(
    "every filter lists exactly its changes, with pages and reads of any size",
    arguments: AccountPlace.Kind.allCases)
  func filters(kind: AccountPlace.Kind) async throws {
    let store = try await AccountPlace(kind).open()
    try await fill(store, seed: 11)
    let all = try await store.audit(AuditQuery(limit: 1_000))
    for action in AuditAction.allCases { #expect(all.contains { $0.action == action }) }
    for (index, wanted) in queries.enumerated() {
      var query = wanted
      query.limit = [1, 4, 100][index % 3]
      query.scan = [3, 11, 1_000][index / 3 % 3]
      var found: [AuditRecord] = []
      while true {
        let page = try await store.auditPage(query)
        #expect(page.records.count <= query.limit, "\(query)")
        found += page.records
        guard let next = page.next else { break }
        try #require(next < query.before ?? .max, "\(query)")
        query.before = next
      }
      #expect(found == all.filter { matches($0, wanted) }, "\(wanted)")
    }
    await store.close()
  }

  @Test(
    "a page reads a bounded number of changes, and continues after them",
    arguments: AccountPlace.Kind.allCases)
  func bound(kind: AccountPlace.Kind) async throws {
    let store = try await AccountPlace(kind).open()
    for number in 1...6 {
      _ = try await store.apply(
        [.saveSetting("s", json: "\(number)", .any)],
        by: ChangeAuthor(name: number == 1 ? "ann" : "bob", time: Int64(number)))
    }
    var query = AuditQuery(times: 1..<2)
    query.scan = 2
    var places: [Int64] = []
    while true {
      let page = try await store.auditPage(query)
      guard let next = page.next else {
        #expect(page.records.map(\.author.name) == ["ann"])
        break
      }
      #expect(page.records.isEmpty)
      places.append(next)
      query.before = next
    }
    #expect(places == [5, 3])
    // The index of authors leads to the only change of this author.
    query = AuditQuery(author: "ann")
    query.scan = 2
    let page = try await store.auditPage(query)
    #expect(page.records.map(\.position) == [1] && page.next == nil)
    await store.close()
  }

  @Test("a damaged change in MongoDB is reported, and does not end the list")
  func damaged() async throws {
    let uri = try MongoServer.freshDatabase()
    let store = try await MongoAccountStore(uri: uri, owner: "test")
    for number in 1...3 {
      _ = try await store.apply(
        [.saveSetting("s", json: "\(number)", .any)],
        by: ChangeAuthor(name: "ann", time: Int64(number)))
    }
    let queue = try MongoQueue(MongoAddress(uri, patience: .seconds(2), remedy: "start it"))
    try await queue.perform { client throws(Failure) in
      try client.collection(MongoAccountStore.Collection.changes).update(
        BSONDocument().set("_id", 2), setting: BSONDocument().set("time", "never"))
    }
    let failure = await #expect(throws: Failure.self) { try await store.auditPage(AuditQuery()) }
    #expect(failure?.code == .storeDamaged, "\(String(describing: failure))")
    #expect(failure?.message.contains("Change 2 ") == true, "\(String(describing: failure))")
    #expect(try await store.audit(AuditQuery(before: 2)).map(\.position) == [1])
    await store.close()
  }
}
