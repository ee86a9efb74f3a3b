import ClusterModel
import ClusterTesting
import Testing

@testable import CommandLineCore

/// Random records, made through calls of `AdminModel`.
private struct RandomCluster {
  var chance: SplitMix64
  var model = AdminModel()
  /// Milliseconds by which a price starts later. Prices of two clusters must not start at the same
  /// time, because rows cannot be changed.
  let startOffset: Int

  init(seed: UInt64, startOffset: Int) throws {
    chance = SplitMix64(seed: seed)
    self.startOffset = startOffset
    try fill()
  }

  private mutating func coin() -> Bool { Bool.random(using: &chance) }

  private mutating func pick<Element>(_ elements: [Element]) throws -> Element {
    let element = elements.randomElement(using: &chance)
    return try #require(element)
  }

  private mutating func some(_ names: [String]) -> RecordValue {
    .list(
      names.shuffled(using: &chance).prefix(Int.random(in: 0...names.count, using: &chance))
        .map { .text($0) })
  }

  private mutating func call(
    _ method: AdminCall.Method, _ path: String, _ body: [String: RecordValue]?
  ) throws -> String {
    let id = model.perform(
      AdminCall(
        method: method, path: "/admin/v1/" + path, body: body.map { .object($0) },
        guardPath: nil))
    return try #require(id, "\(method) \(path)")
  }

  private mutating func budgets() throws -> RecordValue {
    var budgets: [RecordValue] = []
    for period in ["day", "month"] where coin() {
      budgets.append(
        .object([
          "amount": .text(try pick(["0", "12.5", "100"])), "period": .text(period),
          "window": .text(try pick(["calendar", "rolling"])),
          "warnings": .list(coin() ? [.integer(900), .integer(500)] : []),
        ]))
    }
    return .list(budgets)
  }

  private mutating func fill() throws {
    for id in ["acme", "beta", "gamma"] where coin() {
      _ = try call(
        .post, "organisations",
        [
          "id": .text(id), "name": .text(try pick(["A", "No: \"b\" # c", "é\u{2028}\u{85}🎼"])),
          "prepaid": .boolean(coin()), "budgets": try budgets(),
        ])
      for team in ["web", "true"] where coin() {
        _ = try call(
          .post, "teams",
          ["id": .text("\(id)/\(team)"), "name": .text(team), "budgets": try budgets()])
      }
    }
    for number in 1...4 where coin() {
      let price = number % 2 == 0 ? RecordValue.null : .text("0.15")
      // Two clusters may have the same URL under different ids.
      _ = try call(
        .post, "hosts",
        [
          "id": .text(try pick(["h\(number)", "other:\(number)"])),
          "url": .text("http://10.0.0.\(number):8000"),
          "credential": coin() ? .text("env:TUTTI_CREDENTIAL_A") : .null,
          "trust": .text(try pick(["any", "trusted", "local"])), "tags": some(["eu", "gpu"]),
          "region": coin() ? .text("north") : .null, "price_input": price, "price_output": price,
          "dialect": .text(try pick(["auto", "ollama"])),
          "models": coin() ? .list([.text("z"), .text("a")]) : .list([]),
          "slots": coin() ? .integer(number) : .null,
        ])
    }
    for id in ["qwen/3:8b", "auto model", "a", "b"].shuffled(using: &chance) where coin() {
      // The call is refused if it makes an alias of an alias.
      _ = model.perform(
        AdminCall(
          method: .patch, path: "/admin/v1/models/" + PathText.escaped(id),
          body: .object([
            "hidden": .boolean(coin()), "ranked": .boolean(coin()),
            "stands_for": some(["c", "b", "a", "qwen/3:8b"]),
            "context_tokens": coin() ? .integer(3_000_000_000) : .null,
            "minimum_versions": some(["vLLM=0.6.3"]),
          ]), guardPath: nil))
    }
    for (name, values) in [
      ("inference.race", [RecordValue.text("hedged"), .text("single")]),
      ("gateway.max_requests", [.integer(64), .integer(1_024)]),
      ("inference.load_weight", [.number(0.25), .text("0.5")]),
    ] where coin() {
      _ = try call(.patch, "settings", [name: try pick(values)])
    }
    if coin() { _ = try call(.patch, "tariff", ["unknown_price": .text("refuse")]) }
    try fillPrices()
    try fillKeys()
  }

  private mutating func fillPrices() throws {
    let present = model.now
    model.now = present - 1_000_000
    for (index, start) in [-500_000, -400_000, 900_000 + startOffset].enumerated() {
      for host in [nil, "h1"] where coin() {
        _ = try call(
          .post, "prices",
          [
            "model": .text("m"), "host": host.map { .text($0) } ?? .null,
            "input": .text(try pick(["0.15", "2"])), "output": .text("\(index + startOffset)"),
            "cached_input": coin() ? .text("0.01") : .null,
            "effective_from_ms": .integer(Int(present) + start),
          ])
      }
    }
    model.now = present
  }

  private mutating func fillKeys() throws {
    for name in ["ci", "null", "a/b"] where coin() {
      let id = try call(
        .post, "keys",
        [
          "name": .text(name), "account": .text(try pick(["default", "acme/web"])),
          "scopes": try pick([.list([.text("plans"), .text("chat")]), .list([.text("logs")])]),
          "permissions": .object(["models": some(["m", "n"])]),
          "limits": .object(["tokens_per_day": coin() ? .integer(1_000) : .null]),
          "expires_at_ms": coin() ? .integer(1_900_000_000_000) : .null,
        ])
      if coin() { _ = try call(.post, "keys/\(id)/disable", nil) }
      _ = try call(.put, "key-budgets/\(id)", ["budgets": try budgets()])
    }
    let old = try call(.post, "keys", ["name": .text("ci")])
    _ = try call(.delete, "keys/\(old)", nil)
  }

  func state() throws -> ClusterState { try model.state() }
}

@Suite("A cluster equals its file")
struct ApplyPropertyTests {
  /// Facts that a file sets, without ids that the registry chose.
  private func facts(_ state: ClusterState, _ kind: RecordKind) -> Set<[String: RecordValue]> {
    let learned = Set(kind.members.filter(\.isLearned).map(\.name))
    return Set(
      state[kind].map { record in
        var members = record.members.filter { !learned.contains($0.key) }
        if kind.identity != .nameOrID { members["id"] = .text(record.id) }
        return members
      })
  }

  private func pricesInForce(_ state: ClusterState, at now: Int64) -> Set<[String: RecordValue]> {
    Set(
      PriceRows(state[.prices].map { PriceListing($0.members) }, at: now).inForce.values
        .map { $0.charges.merging(["subject": .text($0.subject.label)]) { old, _ in old } })
  }

  @Test("applying a cluster's own export changes nothing", arguments: 0..<200 as Range<UInt64>)
  func noChange(seed: UInt64) throws {
    let cluster = try RandomCluster(seed: seed, startOffset: 1)
    let (state, now) = (try cluster.state(), cluster.model.now)
    let text = ClusterExport.text(of: state, now: now)
    let file = try ClusterFile(text: text, path: "cluster.yaml")
    let plan = try ClusterPlan(from: state, to: file, prune: true, now: now)
    #expect(plan.isEmpty, "\(PlanText.lines(of: plan))\n\(text)")
    #expect(plan.notes == [], "\(text)")
  }

  @Test(
    "after the changes, any cluster equals the file, and a second run changes nothing",
    arguments: 0..<300 as Range<UInt64>)
  func equal(seed: UInt64) throws {
    var present = try RandomCluster(seed: seed, startOffset: 1).model
    let wanted = try RandomCluster(seed: seed &+ 10_000, startOffset: 2)
    let text = ClusterExport.text(of: try wanted.state(), now: present.now)
    let file = try ClusterFile(text: text, path: "cluster.yaml")
    let plan = try ClusterPlan(from: present.state(), to: file, prune: true, now: present.now)
    let refused = present.apply(plan)
    #expect(refused == nil, "\(PlanText.lines(of: plan))")
    present.now += 2_000
    let (after, goal) = (try present.state(), try wanted.state())
    for kind in [.hosts, .models, .settings, .tariff, .keys] as [RecordKind] {
      #expect(facts(after, kind) == facts(goal, kind), "\(kind.section)\n\(text)")
    }
    for host in goal[.hosts] {
      let made = try #require(after[.hosts].first { $0.id == host.id })
      for member in RecordKind.hosts.members where member.isLearned {
        guard let value = host.members[member.name], !value.meansReported else { continue }
        #expect(made.members[member.name] == value, "\(host.id) \(member.name)\n\(text)")
      }
    }
    for kind in [.organisations, .teams] as [RecordKind] {
      #expect(facts(after, kind).isSuperset(of: facts(goal, kind)), "\(kind.section)")
      // Other accounts stay only if they are in use.
      for id in Set(after[kind].map(\.id)).subtracting(goal[kind].map(\.id)) {
        let note = "\(kind.noun) \(id) is not in the file and stays: it has"
        #expect(plan.notes.contains { $0.hasPrefix(note) }, "\(plan.notes)")
      }
    }
    #expect(
      pricesInForce(after, at: present.now)
        .isSuperset(of: pricesInForce(goal, at: present.now)))
    let again = try ClusterPlan(from: after, to: file, prune: true, now: present.now)
    #expect(again.isEmpty, "\(PlanText.lines(of: again))")
  }

  @Test(
    "an export makes a new cluster equal, with all that was set",
    arguments: 0..<100 as Range<UInt64>)
  func copied(seed: UInt64) throws {
    let cluster = try RandomCluster(seed: seed, startOffset: 1)
    let text = ClusterExport.text(of: try cluster.state(), now: cluster.model.now)
    let file = try ClusterFile(text: text, path: "cluster.yaml")
    var copy = AdminModel()
    let plan = try ClusterPlan(from: copy.state(), to: file, prune: false, now: copy.now)
    let refused = copy.apply(plan)
    #expect(refused == nil, "\(PlanText.lines(of: plan))")
    copy.now += 2_000
    let exported = ClusterExport.text(of: try copy.state(), now: copy.now)
    #expect(try ClusterFile(text: exported, path: "cluster.yaml") == file, "\(text)\n\(exported)")
  }

  @Test("without --prune no record is removed", arguments: 0..<50 as Range<UInt64>)
  func kept(seed: UInt64) throws {
    let present = try RandomCluster(seed: seed, startOffset: 1)
    let wanted = try RandomCluster(seed: seed &+ 10_000, startOffset: 2)
    let text = ClusterExport.text(of: try wanted.state(), now: present.model.now)
    do {
      let plan = try ClusterPlan(
        from: present.state(), to: ClusterFile(text: text, path: ""), prune: false,
        now: present.model.now)
      #expect(!plan.changes.contains { if case .remove = $0.action { true } else { false } })
    } catch let failure as ProcessFailure {
      // A host that stays may have the URL of a new one.
      #expect(failure.message.contains("has the URL of"), "\(failure.message)")
    }
  }
}
