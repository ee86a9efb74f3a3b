import ClusterModel
import Testing

@Suite("Lists of a host table")
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
}
