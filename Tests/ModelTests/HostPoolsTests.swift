import ClusterModel
import Limits
import Testing

@Suite("Host pools")
struct HostPoolsTests {
  @Test("a pool admits the hosts with its tag, and no pools admit every host")
  func admits() {
    let pools = HostPools(["gpu", "eu"])
    #expect(pools.admits(tags: ["eu", "fast"]))
    #expect(!pools.admits(tags: ["fast"]) && !pools.admits(tags: []))
    #expect(HostPools.all.admits(tags: []) && HostPools.all.admits(tags: ["fast"]))
  }

  @Test("a table limited to pools holds only their hosts, in the same order")
  func limited() {
    let hosts = [
      Host(id: "a", url: "http://a", tags: ["gpu"]), Host(id: "b", url: "http://b"),
      Host(id: "c", url: "http://c", tags: ["eu", "gpu"]),
    ]
    let table = HostTable(epoch: 1, revision: 2, hosts: hosts)
    #expect(table.limited(to: .all) == table)
    #expect(table.limited(to: HostPools(["gpu"])).hosts.map(\.id) == ["a", "c"])
    #expect(table.limited(to: HostPools(["none"])).hosts.isEmpty)
  }

  @Test("a table limited to a data policy holds only hosts with enough trust")
  func limitedToPolicy() {
    let hosts = [
      Host(id: "a", url: "http://a", trust: .any), Host(id: "b", url: "http://b", trust: .local),
      Host(id: "c", url: "http://c", trust: .trusted, tags: ["gpu"]),
    ]
    let table = HostTable(epoch: 1, revision: 2, hosts: hosts)
    #expect(table.limited(to: .all, policy: .any) == table)
    #expect(table.limited(to: .all, policy: .trusted).hosts.map(\.id) == ["b", "c"])
    #expect(table.limited(to: .all, policy: .local).hosts.map(\.id) == ["b"])
    #expect(table.limited(to: HostPools(["gpu"]), policy: .trusted).hosts.map(\.id) == ["c"])
    #expect(table.limited(to: HostPools(["gpu"]), policy: .local).hosts.isEmpty)
  }

  @Test(
    "a tag with other letters, none, or too many is refused",
    arguments: ["", "GPU", "a b", "é", "a/b", "a\u{0}", String(repeating: "a", count: 65)])
  func badNames(name: String) {
    #expect(!HostTags.isName(name))
    #expect(HostTags.checked(["gpu", name]) == nil)
  }

  @Test("tags are sorted, each once, and their number is limited")
  func lists() {
    #expect(HostTags.checked(["b", "a-1._", "b"]) == ["a-1._", "b"])
    #expect(HostTags.isName(String(repeating: "a", count: 64)))
    let most = (0..<Limits.hostTags.value).map { "t\($0)" }
    #expect(HostTags.checked(most)?.count == most.count)
    #expect(HostTags.checked(most + ["more"]) == nil)
  }

  @Test("a sentence names the first pools and counts the others")
  func summary() {
    #expect(HostPools(["gpu"]).summary == "gpu")
    #expect(HostPools(["gpu"]).condition == "in the key's host pools (gpu) ")
    #expect(HostPools.all.condition.isEmpty)
    #expect(HostPools(["e", "d", "c", "b", "a"]).summary == "a, b, c and 2 more")
  }
}
