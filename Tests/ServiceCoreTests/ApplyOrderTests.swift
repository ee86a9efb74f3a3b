import ClusterModel
import Testing

@testable import CommandLineCore

private let present: Int64 = 1_800_000_000_000

private func state(_ records: [(RecordKind, String)]) throws -> ClusterState {
  var state = ClusterState()
  for (kind, json) in records {
    try state.add([try #require(RecordValue(json: Array(json.utf8)), "\(json)")], of: kind)
  }
  return state
}

private func plan(
  _ records: [(RecordKind, String)], _ file: String, prune: Bool = false
) throws -> ClusterPlan {
  try ClusterPlan(
    from: state(records), to: ClusterFile(text: file, path: "c.yaml"), prune: prune, now: present)
}

private func mistake(
  _ records: [(RecordKind, String)], _ file: String, prune: Bool = false
) -> String {
  do {
    _ = try plan(records, file, prune: prune)
    return ""
  } catch {
    return (error as? ProcessFailure)?.message ?? "\(error)"
  }
}

private func model(_ id: String, _ aliases: [String]) -> (RecordKind, String) {
  let list = aliases.map { #""\#($0)""# }.joined(separator: ",")
  return (.models, #"{"id":"\#(id)","stands_for":[\#(list)],"hidden":false}"#)
}

@Suite("Models in a cluster file")
struct ApplyModelTests {
  @Test("the preferred model of an alias stays the first one")
  func preferred() throws {
    let records = [model("big", ["a", "b"])]
    #expect(try plan(records, "models: [{id: big, stands_for: [a, b]}]").isEmpty)
    let changed = try plan(records, "models: [{id: big, stands_for: [b, a]}]")
    let body = try #require(changed.changes.first?.firstCalls.first?.body)
    #expect(body == .object(["stands_for": .list([.text("b"), .text("a")])]))
    let made = try plan([], "models: [{id: big, stands_for: [z, a]}]").changes
    #expect(
      made.first?.firstCalls.first?.body
        == .object(["stands_for": .list(["z", "a"].map { .text($0) })]))
    let text = ClusterExport.text(of: try state([model("big", ["z", "a"])]), now: present)
    #expect(text.contains("stands_for: [z, a]"))
    #expect(mistake([], "models: [{id: big, stands_for: [a, b, a]}]").contains("“a” is here twice"))
  }

  @Test("an alias ends before another one stands for it")
  func aliases() throws {
    let records = [model("a", ["x"]), model("c", ["y"])]
    let file = """
      models:
        - {id: b, stands_for: [a]}
        - {id: c, stands_for: [z]}
        - {id: a, hidden: true}
      """
    let titles = try plan(records, file).changes.map(\.title)
    #expect(titles == ["model a", "model c", "model b"])
    let pruned = try plan(records, "models: [{id: b, stands_for: [a]}]", prune: true).changes
    #expect(pruned.map(\.title) == ["model a", "model c", "model b"])
  }

  @Test("an exported number of tokens is accepted")
  func tokens() throws {
    let record = #"{"id":"m","context_tokens":4294967295}"#
    let text = ClusterExport.text(of: try state([(.models, record)]), now: present)
    #expect(try plan([(.models, record)], text).isEmpty)
  }
}

@Suite("Hosts in a cluster file")
struct ApplyHostTests {
  /// A host whose dialect is reported and whose models were set; it also offers an alias.
  private static let host =
    #"{"id":"a","url":"http://gpu:8000","dialect":"openai","resume":"instruct","slots":4,"#
    + #""models":[{"id":"m2"},{"id":"m1"},{"id":"alias"}],"#
    + #""configured":{"dialect":null,"resume":null,"slots":null,"models":["m2","m1"]}}"#

  @Test("values that were set are compared and exported, and reported ones are not")
  func configured() throws {
    let records: [(RecordKind, String)] = [(.hosts, Self.host)]
    let file = "hosts: [{id: a, url: 'http://gpu:8000', models: [m2, m1]}]"
    #expect(try plan(records, file).isEmpty)
    let text = ClusterExport.text(of: try state(records), now: present)
    #expect(text.contains("models: [m2, m1]"))
    for member in ["dialect", "resume", "slots", "alias"] {
      #expect(!text.contains(member), "\(text)")
    }
    // A file can set a dialect that is only reported. `auto` removes a set dialect.
    let fixed = "hosts: [{id: a, url: 'http://gpu:8000', dialect: openai}]"
    #expect(try plan(records, fixed).changes.count == 1)
    let set = Self.host.replacing(#"{"dialect":null"#, with: #"{"dialect":"openai""#)
    #expect(try plan([(.hosts, set)], fixed).isEmpty)
    let released = fixed.replacing("openai", with: "auto")
    #expect(try plan(records, released).isEmpty)
    #expect(
      try plan([(.hosts, set)], released).changes.first?.firstCalls.first?.body
        == .object(["dialect": .text("auto")]))
  }

  @Test("an older registry does not return what was set, which is noted in the export")
  func olderRegistry() throws {
    let old = #"{"id":"a","url":"http://gpu:8000","dialect":"openai","models":[{"id":"m"}]}"#
    let text = ClusterExport.text(of: try state([(.hosts, old)]), now: present)
    #expect(text.contains("# dialect, resume, slots and models are left out"))
    #expect(!text.contains("dialect: "))
    let file = "hosts: [{id: a, url: 'http://gpu:8000', dialect: auto, models: []}]"
    #expect(try plan([(.hosts, old)], file).isEmpty)
  }

  @Test("a host has both prices or none, and a change sends only the price that changes")
  func prices() throws {
    let host = #"{"id":"a","url":"http://x","price_input":"0.15","price_output":"0.60"}"#
    func file(_ prices: String) -> String { "hosts: [{id: a, url: 'http://x'\(prices)}]" }
    #expect(try plan([(.hosts, host)], file(", price_input: 0.15, price_output: 0.6")).isEmpty)
    let dearer = try plan([(.hosts, host)], file(", price_input: 0.15, price_output: 0.7"))
    #expect(
      dearer.changes.first?.firstCalls.first?.body == .object(["price_output": .text("0.7")]))
    let cleared = try plan([(.hosts, host)], file(""))
    #expect(
      cleared.changes.first?.firstCalls.first?.body
        == .object(["price_input": .null, "price_output": .null]))
    #expect(
      mistake([], file(", price_output: 1")).contains("c.yaml:1: hosts: a has only price_output"))
  }

  @Test("a URL that another host keeps is refused before anything is changed")
  func urls() throws {
    let local = #"{"id":"a","url":"http://localhost:8000"}"#
    let file = "hosts: [{id: b, url: 'http://127.0.0.1:8000'}]"
    let refused = mistake([(.hosts, local)], file)
    #expect(refused.contains("c.yaml:1: hosts: a has the URL of b"))
    #expect(refused.contains("--prune removes"))
    let moved = try plan([(.hosts, local)], file, prune: true).changes
    #expect(moved.map(\.title) == ["host a", "host b"])
    #expect(try plan([(.hosts, local)], "hosts: [{id: a, url: 'http://127.0.0.1:8000'}]").isEmpty)
    let twice = "hosts: [{id: a, url: 'http://x'}, {id: b, url: 'http://x:80/v1'}]"
    #expect(mistake([], twice, prune: true).contains("hosts: a has the URL of b"))
    #expect(HostURL.identity("http://localhost.example") == "http://localhost.example")
  }
}

@Suite("Settings in a cluster file")
struct ApplySettingTests {
  private static let settings: [(RecordKind, String)] = [
    (
      .settings,
      #"{"id":"inference.race","value":null,"source":"configuration","#
        + #""range":{"values":["dual","hedged"]}}"#
    ),
    (
      .settings,
      #"{"id":"gateway.max_requests","value":64,"source":"runtime","#
        + #""range":{"minimum":1,"maximum":100000}}"#
    ),
    (
      .settings, #"{"id":"new.kind","value":null,"source":"configuration","range":{"pattern":"x"}}"#
    ),
  ]

  @Test("names and values that the registry refuses are found before anything is changed")
  func mistakes() throws {
    let lines = mistake(
      Self.settings,
      """
      organisations: [{id: acme}]
      settings:
        inference.rase: dual
        inference.race: triple
        gateway.max_requests: 0
      """
    ).split(separator: "\n").map(String.init)
    #expect(lines.count == 4, "\(lines)")
    #expect(lines[0].hasPrefix("c.yaml:3: settings: “inference.rase” is no setting"))
    #expect(lines[0].contains("did you mean inference.race?"))
    #expect(lines[1] == "c.yaml:4: settings: inference.race must be one of dual, hedged")
    #expect(lines[2].contains("a whole number from 1 to 100000"))
    #expect(lines[3] == "nothing was changed")
  }

  @Test("values that the registry permits are applied, also of kinds that are not known")
  func permitted() throws {
    let changes = try plan(
      Self.settings,
      "settings: {inference.race: hedged, gateway.max_requests: 64, new.kind: 0.5}"
    ).changes
    #expect(changes.map(\.title) == ["setting inference.race", "setting new.kind"])
  }
}
