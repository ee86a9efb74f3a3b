import ClusterModel
import ClusterTesting
import Testing

@Suite("Changes of the host table")
struct HostChangesTests {
  private func host(_ name: String, models: [String] = ["m"], probe: Int? = nil) -> Host {
    var host = Host(id: HostID(name), url: "http://\(name):1")
    host.models = models.map { ModelOffer(id: ModelID($0)) }
    host.probeMilliseconds = probe
    return host
  }

  private func table(_ revision: UInt64, _ hosts: [Host], epoch: UInt64 = 1) -> HostTable {
    HostTable(epoch: epoch, revision: revision, hosts: hosts)
  }

  @Test("changes have only the rows that differ, and lead to the new table")
  func rows() throws {
    let old = table(1, [host("a"), host("b"), host("c")])
    let new = table(4, [host("a"), host("c", models: ["n"]), host("d")])
    let changes = try #require(new.changes(since: old))
    #expect(changes.base == 1 && changes.revision == 4)
    #expect(changes.changed.map(\.id) == ["c", "d"])
    #expect(changes.removed == ["b"])
    #expect(old.applying(changes) == new)
  }

  @Test("a different duration of the last probe is no change")
  func probes() throws {
    let old = table(1, [host("a", probe: 3), host("b", probe: 3)])
    let new = table(2, [host("a", probe: 4), host("b", models: ["n"], probe: 9)])
    #expect(try #require(new.changes(since: old)).changed == [new.hosts[1]])
  }

  @Test("hosts in another order, and another registry, need the whole table")
  func whole() {
    let old = table(1, [host("a"), host("b")])
    #expect(table(2, [host("b"), host("a")]).changes(since: old) == nil)
    #expect(table(2, old.hosts, epoch: 2).changes(since: old) == nil)
  }

  @Test("any edits of a registry are followed row by row", arguments: 1...50 as ClosedRange<UInt64>)
  func edits(seed: UInt64) throws {
    var chance = SeededGenerator(seed: seed)
    var next = 5
    var old = table(1, (0..<5).map { host("h\($0)") })
    for revision in 2...30 as ClosedRange<UInt64> {
      var hosts = old.hosts
      for _ in 0..<Int.random(in: 0...3, using: &chance) {
        switch Int.random(in: 0...2, using: &chance) {
        case 0:
          hosts.append(host("h\(next)"))
          next += 1
        case 1 where !hosts.isEmpty:
          hosts.remove(at: .random(in: hosts.indices, using: &chance))
        case 2 where !hosts.isEmpty:
          let index = Int.random(in: hosts.indices, using: &chance)
          hosts[index].models = [ModelOffer(id: ModelID("m\(revision)"))]
        default: break
        }
      }
      let new = table(revision, hosts)
      let changes = try #require(new.changes(since: old))
      #expect(changes.changed.count + changes.removed.count <= 3)
      #expect(old.applying(changes) == new)
      old = new
    }
  }

  @Test("lists are kept while the models of ready hosts stay the same")
  func lists() {
    let table = table(1, [host("a"), host("b")]).indexed()
    func changed(_ change: (inout Host) -> Void) -> HostTable {
      var host = host("b")
      change(&host)
      return table.applying(
        HostChanges(epoch: 1, base: 1, revision: 2, changed: [host], removed: []))
    }
    #expect(changed { $0.version = "2" }.hasLists)
    #expect(!changed { $0.models = [] }.hasLists)
    #expect(!changed { $0.state = .ready }.hasLists)
    let without = HostChanges(epoch: 1, base: 1, revision: 2, changed: [], removed: ["b"])
    #expect(!table.applying(without).hasLists)
    #expect(!table.withoutLists().hasLists)
  }

  @Test("changes that name a host twice, or remove one that is unknown, do not break a table")
  func odd() {
    let changes = HostChanges(
      epoch: 1, base: 1, revision: 2,
      changed: [host("a"), host("x"), host("a", models: ["n"])], removed: ["a", "zz", "a"])
    let result = table(1, [host("a"), host("b")]).applying(changes)
    #expect(result.hosts.map(\.id) == ["b", "a", "x"])
    #expect(result.hosts[1].models.map(\.id) == ["n"])
  }
}
