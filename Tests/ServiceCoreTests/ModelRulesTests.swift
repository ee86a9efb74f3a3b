import ClusterModel
import ClusterTesting
import Foundation
import Limits
import Testing

@testable import RegistryCore

private typealias Host = ClusterModel.Host

private func record(
  _ id: ModelID, _ change: (inout ModelRecord) -> Void = { _ in }
) -> ModelRecord {
  var record = ModelRecord(id)
  change(&record)
  return record
}

@Suite("Models that hosts offer under the models' records")
struct ModelRulesTests {
  private static let listed = [
    ModelOffer(id: "small", contextTokens: 2_048, facts: #""owned_by":"x""#),
    ModelOffer(id: "large", contextTokens: 8_192),
  ]

  private func host(
    _ id: HostID = "h", tags: [String] = [], version: String? = nil
  ) -> Host {
    var host = Host(id: id, url: "http://h", version: version)
    host.tags = tags
    return host
  }

  private func offers(
    _ records: [ModelRecord], _ approval: ModelApproval = .open, on host: Host? = nil,
    listed: [ModelOffer] = listed
  ) -> [ModelOffer] {
    ModelRules(records, approval: approval).offers(of: host ?? self.host(), listed: listed)
  }

  @Test("without records a host offers what it lists, unless approval is required")
  func none() {
    #expect(offers([]) == Self.listed)
    #expect(offers([], .required).isEmpty)
  }

  @Test("a record that names hosts keeps the model from all others")
  func hosts() {
    let records = [record("large") { $0.hosts = ["gpu"] }]
    #expect(offers(records).map(\.id) == ["small"])
    #expect(offers(records, on: host("gpu")).map(\.id) == ["small", "large"])
    #expect(offers(records, .required, on: host("gpu")).map(\.id) == ["large"])
  }

  @Test("a record that names pools admits hosts with one of the tags, and named hosts too")
  func pools() {
    let records = [
      record("large") {
        $0.hosts = ["gpu"]
        $0.hostPools = ["eu", "fast"]
      }
    ]
    #expect(
      offers(records, on: host("x", tags: ["slow", "fast"])).map(\.id) == ["small", "large"])
    #expect(offers(records, on: host("x", tags: ["slow"])).map(\.id) == ["small"])
    #expect(offers(records, on: host("gpu")).count == 2)
  }

  @Test("a record without hosts and pools approves none where approval is required")
  func empty() {
    #expect(offers([record("large")], .required).isEmpty)
    #expect(offers([record("large")]).count == 2)
  }

  @Test("a server that is too old does not offer the model; one without a version does")
  func versions() {
    let records = [record("large") { $0.minimumVersions = ["vLLM=0.6.3"] }]
    #expect(offers(records, on: host(version: "vLLM 0.6.2")).map(\.id) == ["small"])
    #expect(offers(records, on: host(version: "vLLM 0.7")).count == 2)
    #expect(offers(records, on: host(version: "llama.cpp b1")).count == 2)
    #expect(offers(records).count == 2)
  }

  @Test("a record overrides what the host reports, and nothing else")
  func overrides() {
    let records = [
      record("small") {
        $0.isHidden = true
        $0.kind = .embeddings
        $0.contextTokens = 512
      }
    ]
    #expect(
      offers(records) == [
        ModelOffer(
          id: "small", contextTokens: 512, facts: #""owned_by":"x""#, kind: .embeddings,
          isHidden: true),
        Self.listed[1],
      ])
  }

  @Test("an admin's context length replaces every one that the host lists")
  func context() throws {
    let facts = #""max_model_len":8192,"owned_by":"x","context_length":"32768""#
    let listed = [ModelOffer(id: "small", contextTokens: 8_192, facts: facts)]
    let offer = try #require(
      offers([record("small") { $0.contextTokens = 512 }], listed: listed).first)
    #expect(offer.contextTokens == 512 && offer.facts == #""owned_by":"x""#)
    #expect(offers([record("small") { $0.kind = .chat }], listed: listed).first?.facts == facts)
  }

  @Test("an alias is one more offer, and means the first of its models that the host offers")
  func alias() {
    let records = [record("best") { $0.standsFor = ["huge", "large", "small"] }]
    #expect(
      offers(records) == [
        ModelOffer(id: "best", contextTokens: 8_192, upstream: "large")
      ] + Self.listed)
    let other = [ModelOffer(id: "other")]
    #expect(offers(records, listed: other) == other)
  }

  @Test("hosts of a ranked alias have the position of their model as rank, those of others none")
  func ranks() {
    var ranked = record("best") { $0.standsFor = ["huge", "large", "small"] }
    #expect(offers([ranked]).map(\.rank) == [0, 0, 0])
    ranked.isRanked = true
    let withRanks = offers([ranked])
    #expect(withRanks.map(\.id) == ["best", "small", "large"])
    #expect(withRanks.map(\.rank) == [1, 0, 0])
    #expect(withRanks.first?.upstream == "large")
  }

  @Test("a record of an earlier version has no ranks; a stored record keeps them")
  func storedRanks() throws {
    let earlier = #"""
      {"id":"m","stands_for":["a"],"hosts":[],"host_pools":[],"hidden":false,"minimum_versions":[]}
      """#
    var record = try JSONDecoder().decode(ModelRecord.self, from: Data(earlier.utf8))
    #expect(!record.isRanked && record == Self.alias)
    record.isRanked = true
    let stored = try JSONEncoder().encode(record)
    #expect(try JSONDecoder().decode(ModelRecord.self, from: stored) == record)
    record.isRanked = false
    #expect(record == Self.alias)
  }

  private static let alias = record("m") { $0.standsFor = ["a"] }

  @Test("an alias has the kind of its model, and its own record's properties come first")
  func aliasProperties() {
    let records = [
      record("large") { $0.kind = .other },
      record("best") {
        $0.standsFor = ["large"]
        $0.contextTokens = 100
        $0.isHidden = true
      },
    ]
    #expect(
      offers(records).first
        == ModelOffer(
          id: "best", contextTokens: 100, upstream: "large", kind: .other, isHidden: true))
  }

  @Test("an alias does not lead to a model that is not approved, and may name hosts itself")
  func aliasApproval() {
    let alias = record("best") { $0.standsFor = ["large", "small"] }
    let pinned = record("large") { $0.hosts = ["gpu"] }
    #expect(offers([alias, pinned]).first?.upstream == "small")
    #expect(offers([alias, pinned], .required).isEmpty)
    // The approval of the model is enough, because an admin made the alias.
    #expect(
      offers([alias, pinned], .required, on: host("gpu")).map(\.id) == ["best", "large"])
    let named = record("best") {
      $0.standsFor = ["large"]
      $0.hosts = ["gpu"]
    }
    #expect(offers([named]).map(\.id) == ["small", "large"])
    #expect(offers([named], on: host("gpu")).map(\.id) == ["best", "small", "large"])
  }

  @Test("a host's own model of the alias's name stays the same")
  func ownName() {
    let records = [record("small") { $0.standsFor = ["large"] }]
    #expect(offers(records) == Self.listed)
  }
}

@Suite("Records of models in the host table")
struct ModelTableTests {
  private var rng = SeededGenerator(seed: 5)
  private var hosts = HostRegistry(epoch: 3, now: .zero)

  private mutating func add(_ id: HostID, _ models: [ModelOffer]) throws {
    let added = try hosts.add(HostDraft(url: "http://\(id)", id: id), now: .zero)
    for case .probe(let order) in added.directives {
      _ = hosts.probed(
        order, .answered(ProbeReport(models: models, roundTrip: .zero)), now: .zero, using: &rng)
    }
  }

  private func models(of id: HostID) -> [ModelID]? { hosts.host(id)?.models.map(\.id) }

  @Test("a change of a record is published at once, and without an effect it is not")
  mutating func change() throws {
    try add("a", [ModelOffer(id: "m"), ModelOffer(id: "n")])
    try add("b", [ModelOffer(id: "m")])
    let before = hosts.table.revision
    let pinned = ModelRules([record("m") { $0.hosts = ["b"] }])
    #expect(hosts.setModelRules(pinned) == [.publish(hosts.table)])
    #expect(hosts.table.revision == before + 1)
    #expect(models(of: "a") == ["n"] && models(of: "b") == ["m"])
    #expect(hosts.setModelRules(pinned).isEmpty)
    #expect(hosts.setModelRules(ModelRules([record("m") { $0.hosts = ["b"] }, record("x")])) == [])
    #expect(hosts.setModelRules(ModelRules()) == [.publish(hosts.table)])
    #expect(models(of: "a") == ["m", "n"], "the list is remembered")
  }

  @Test("aliases follow a host's own models, and are probed models like them")
  mutating func alias() throws {
    _ = hosts.setModelRules(ModelRules([record("alias") { $0.standsFor = ["m"] }]))
    try add("a", [ModelOffer(id: "m"), ModelOffer(id: "n")])
    #expect(models(of: "a") == ["m", "n", "alias"])
    #expect(hosts.host("a")?.hostModel(of: "alias") == "m")
  }

  @Test("a host that may serve none of its models says so")
  mutating func unapproved() throws {
    _ = hosts.setModelRules(ModelRules(approval: .required))
    try add("a", [ModelOffer(id: "m")])
    let host = try #require(hosts.host("a"))
    #expect(host.state == .ready && host.models.isEmpty)
    #expect(host.reason.contains("tutti models"))
  }

  @Test("the reason follows a change of the records without a probe")
  mutating func reason() throws {
    try add("a", [ModelOffer(id: "m")])
    #expect(hosts.host("a")?.reason == "")
    #expect(hosts.setModelRules(ModelRules(approval: .required)) == [.publish(hosts.table)])
    #expect(hosts.host("a")?.reason.hasPrefix("no model record allows") == true)
    #expect(hosts.setModelRules(ModelRules()) == [.publish(hosts.table)])
    #expect(hosts.host("a")?.reason == "")
  }

  @Test("a host whose only model does not fit is not blamed on records")
  mutating func tooLong() throws {
    let long = ModelID(String(repeating: "x", count: Limits.modelNameBytes.value + 1))
    try add("a", [ModelOffer(id: long)])
    #expect(hosts.host("a")?.reason.hasPrefix("1 of its models are left out") == true)
    _ = hosts.setModelRules(ModelRules(approval: .required))
    try add("b", [ModelOffer(id: long), ModelOffer(id: "m")])
    #expect(hosts.host("b")?.reason.hasPrefix("no model record allows") == true)
  }

  @Test("admins see each host that lists a model, approved or not, also by an alias")
  mutating func standings() throws {
    try add("b", [ModelOffer(id: "m")])
    try add("a", [ModelOffer(id: "m"), ModelOffer(id: "n")])
    _ = hosts.setModelRules(
      ModelRules([
        record("m") { $0.hosts = ["a"] }, record("alias") { $0.standsFor = ["m"] },
      ]))
    #expect(hosts.listedModels == ["m", "n", "alias"])
    let standings = hosts.standings(of: ["alias", "m", "unknown"])
    let expected = [
      OfferStanding(host: "a", isApproved: true, state: .ready),
      OfferStanding(host: "b", isApproved: false, state: .ready),
    ]
    #expect(standings == ["alias": expected, "m": expected])
    #expect(hosts.standings(of: ["n"])["n"]?.map(\.host) == ["a"])
  }

  @Test("aliases of every host stay within the table, and a host's lists within their room")
  mutating func bounds() throws {
    let long = String(repeating: "x", count: 240)
    let records = (0..<200).map { index in
      record(ModelID("alias-\(index)-\(long)")) {
        $0.standsFor = ["m0-\(long)"].map { ModelID($0) }
      }
    }
    _ = hosts.setModelRules(ModelRules(records))
    for number in 0..<40 {
      try add(
        HostID("host-\(number)"), (0..<300).map { ModelOffer(id: ModelID("m\($0)-\(long)")) })
    }
    let bytes = hosts.table.hosts.flatMap(\.models).reduce(0) { sum, offer in
      sum + offer.id.name.utf8.count + (offer.upstream?.name.utf8.count ?? 0) + 16
    }
    #expect(bytes <= Limits.tableOfferBytes.value)
    #expect(hosts.table.hosts.allSatisfy { !$0.models.isEmpty })
    #expect(hosts.listedBytes <= Limits.listedModelBytes.value)
    for host in hosts.table.hosts { _ = try hosts.remove(host.id) }
    #expect(hosts.listedBytes == 0)
  }
}
