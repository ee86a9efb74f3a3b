import ClusterModel
import ClusterTesting
import Testing

@Suite("Lists and lookup of a host table")
struct HostTableTests {
  private func host(_ name: String, _ models: [ModelOffer], _ state: HostState = .ready) -> Host {
    var host = Host(id: HostID(name), url: "http://\(name):1")
    host.state = state
    host.models = models
    return host
  }

  private func offer(
    _ name: String, context: Int? = nil, isHidden: Bool = false
  ) -> ModelOffer {
    ModelOffer(id: ModelID(name), contextTokens: context, isHidden: isHidden)
  }

  @Test(
    "a table lists each model of ready hosts once, and knows the models of all hosts",
    arguments: [false, true])
  func lists(isIndexed: Bool) {
    var table = HostTable(
      epoch: 1, revision: 1,
      hosts: [
        host("a", [offer("y"), offer("x")]), host("b", [offer("y"), offer("h", isHidden: true)]),
        host("c", [offer("z")], .unreachable),
      ])
    if isIndexed { table = table.indexed() }
    #expect(table.listedModels == ["x", "y"])
    #expect(table.offers("z") && table.offers("h") && !table.offers("w"))
    #expect(table.suggestedModels { $0 != "x" } == ["y", "z"])
  }

  @Test("a changed table discards its lists, and its copy keeps its own")
  func changes() {
    var table = HostTable(epoch: 1, revision: 1, hosts: [host("a", [offer("x")])]).indexed()
    let copy = table
    table.hosts[0].models = [offer("y")]
    #expect(table.listedModels == ["y"] && table.offers("y") && !table.offers("x"))
    #expect(table.suggestedModels { _ in true } == ["y"])
    #expect(copy.listedModels == ["x"] && copy.offers("x"))
    #expect(copy != table)
  }

  @Test(
    "the longest context of some models is the longest that any host reports",
    arguments: [false, true])
  func contexts(isIndexed: Bool) {
    var table = HostTable(
      epoch: 1, revision: 1,
      hosts: [
        host("a", [offer("x", context: 10), offer("y")]),
        host("b", [offer("x"), offer("z", context: 7)], .unreachable),
        host("c", [offer("x", context: 30)]),
      ])
    if isIndexed { table = table.indexed() }
    #expect(table.longestContext(of: ["x"]) == 30)
    #expect(table.longestContext(of: ["z", "y", "w"]) == 7)
    #expect(table.longestContext(of: ["y", "w"]) == nil)
  }

  @Test("the lists of a table do not make it another table")
  func equality() {
    let table = HostTable(epoch: 1, revision: 1, hosts: [host("a", [offer("x")])])
    #expect(table == table.indexed())
  }

  @Test(
    "a host is found as by a scan of the rows, however the table was made",
    arguments: 1...50 as ClosedRange<UInt64>)
  func lookup(seed: UInt64) {
    var chance = SeededGenerator(seed: seed)
    let ids = (0..<12).map { HostID("h\($0)") }
    func rows(_ most: Int) -> [Host] {
      (0..<Int.random(in: 0...most, using: &chance)).map { number in
        let id = ids[Int.random(in: ids.indices, using: &chance)]
        return Host(id: id, url: "http://\(id.name)/\(number)")
      }
    }
    func isScan(_ table: HostTable) -> Bool {
      ids.allSatisfy { id in table.host(id) == table.hosts.first { $0.id == id } }
    }
    let table = HostTable(epoch: 1, revision: 1, hosts: rows(20))
    #expect(isScan(table))
    #expect(isScan(table.indexed()))

    let removed = Int.random(in: 0...1, using: &chance) == 0 ? [] : rows(3).map(\.id)
    let next = table.applying(
      HostChanges(epoch: 1, base: 1, revision: 2, changed: rows(4), removed: removed))
    #expect(isScan(next))
    #expect(isScan(table))

    var edited = next
    edited.hosts += rows(5)
    #expect(isScan(edited))
    edited.hosts.removeAll { $0.id == "h3" }
    #expect(edited.host("h3") == nil)
    #expect(isScan(edited) && isScan(next))
  }
}
