import ClusterModel
import Testing

@testable import CommandLineCore

@Suite("Records that another admin changed since the comparison")
struct CallGuardTests {
  private static let key =
    #"{"id":"abcdefgh2345","name":"ci","account":"acme","scopes":["chat"],"state":"active"}"#
  private static let host =
    #"{"id":"a","url":"http://gpu:8000","region":"eu","dialect":"openai","#
    + #""configured":{"dialect":null,"resume":null,"slots":null,"models":[]},"load":null}"#

  private func value(_ json: String) throws -> RecordValue {
    try #require(RecordValue(json: Array(json.utf8)), "\(json)")
  }

  /// The changes that make records equal to a file.
  private func changes(
    _ records: [(RecordKind, String)], _ file: String, prune: Bool = false,
    budgets: String = #"{"budgets":[]}"#
  ) throws -> [RecordChange] {
    var state = ClusterState()
    for (kind, json) in records { try state.add([try value(json)], of: kind) }
    for id in state.keyIDs { state.setKeyBudgets(try value(budgets), of: id) }
    return try ClusterPlan(
      from: state, to: ClusterFile(text: file, path: ""), prune: prune, now: 1_800_000_000_000
    ).changes
  }

  /// The verdict on one of a change's calls, by index.
  private func verdict(
    _ change: RecordChange, call: Int = 0, _ json: String, status: Int = 200
  ) throws -> CallGuard.Verdict {
    CallGuard(change.firstCalls[call], of: change)
      .verdict(status: status, etag: #""7""#, answer: RecordValue(json: Array(json.utf8)))
  }

  @Test("a changed member is noticed, and others may have changed")
  func update() throws {
    let change = try #require(
      try changes([(.keys, Self.key)], "keys: [{name: ci, account: beta, scopes: [chat]}]").first)
    #expect(try verdict(change, Self.key) == .proceed(ifMatch: #""7""#))
    let moved = Self.key.replacing("acme", with: "gamma")
    #expect(try verdict(change, moved) == .changed(["account"]))
    let scoped = Self.key.replacing(#"["chat"]"#, with: #"["plans"]"#)
    #expect(try verdict(change, scoped) == .proceed(ifMatch: #""7""#))
    #expect(try verdict(change, "{}", status: 503) == .failed)
    #expect(try verdict(change, "{}", status: 404) == .failed)
    #expect(try verdict(change, "<html>") == .failed)
  }

  @Test("budgets and the state of a key are compared in their own requests")
  func followers() throws {
    let file =
      "keys: [{name: ci, account: acme, scopes: [plans], state: disabled, "
      + "budgets: [{amount: 5, period: day}]}]"
    let change = try #require(try changes([(.keys, Self.key)], file).first)
    #expect(change.firstCalls.map(\.method) == [.patch, .put, .post])
    let empty = #"{"object":"key_budgets","budgets":[]}"#
    #expect(try verdict(change, call: 1, empty) == .proceed(ifMatch: #""7""#))
    let other =
      #"{"budgets":[{"amount":"9","period":"day","window":"calendar","warnings":[],"spent":"1"}]}"#
    #expect(try verdict(change, call: 1, other) == .changed(["budgets"]))
    #expect(try verdict(change, call: 2, Self.key) == .proceed(ifMatch: #""7""#))
    let disabled = Self.key.replacing("active", with: "disabled")
    #expect(try verdict(change, call: 2, disabled) == .changed(["state"]))
    // Spending is no change.
    let spent = #"{"budgets":[{"amount":"1","period":"day","warnings":[],"spent":"0.5"}]}"#
    let raised = try #require(
      try changes(
        [(.keys, Self.key)],
        "keys: [{name: ci, account: acme, scopes: [chat], budgets: [{amount: 5, period: day}]}]",
        budgets: #"{"budgets":[{"amount":"1","period":"day","warnings":[],"spent":"0"}]}"#
      ).first)
    #expect(try verdict(raised, spent) == .proceed(ifMatch: #""7""#))
  }

  @Test("a new key gets its budgets and its state under the id that the registry chose")
  func newKey() throws {
    let change = try #require(
      try changes([], "keys: [{name: ci, state: disabled, budgets: [{amount: 1, period: day}]}]")
        .first)
    let calls = change.followingCalls(id: "abcdefgh2345")
    #expect(
      calls.map(\.guardPath) == [
        "/admin/v1/key-budgets/abcdefgh2345", "/admin/v1/keys/abcdefgh2345",
      ])
    for (call, answer) in zip(calls, [#"{"object":"key_budgets","budgets":[]}"#, Self.key]) {
      #expect(
        CallGuard(call, of: change)
          .verdict(status: 200, etag: #""7""#, answer: try value(answer))
          == .proceed(ifMatch: #""7""#))
    }
  }

  @Test("a record that was changed is not removed, and one that is gone needs no removal")
  func removal() throws {
    let host = try #require(try changes([(.hosts, Self.host)], "hosts: []", prune: true).first)
    // Probes and load are no changes.
    let probed = Self.host.replacing(#""dialect":"openai""#, with: #""dialect":"ollama""#)
    #expect(try verdict(host, probed) == .proceed(ifMatch: #""7""#))
    #expect(try verdict(host, Self.host.replacing("eu", with: "us")) == .changed(["region"]))
    #expect(try verdict(host, "{}", status: 404) == .isDone)
    let key = try #require(try changes([(.keys, Self.key)], "keys: []", prune: true).first)
    #expect(try verdict(key, Self.key) == .proceed(ifMatch: #""7""#))
    #expect(try verdict(key, Self.key.replacing("active", with: "revoked")) == .isDone)
  }

  @Test("a model or a setting that another admin made is not overwritten")
  func creation() throws {
    let model = try #require(try changes([], "models: [{id: m, hidden: true}]").first)
    #expect(try verdict(model, "{}", status: 404) == .proceed(ifMatch: #""0""#))
    #expect(try verdict(model, #"{"id":"m","offers":[]}"#) == .proceed(ifMatch: #""7""#))
    #expect(try verdict(model, #"{"id":"m","hosts":["gpu"]}"#) == .changed(["hosts"]))
    let race = #"{"id":"inference.race","value":null,"source":"configuration"}"#
    let setting = try #require(
      try changes([(.settings, race)], "settings: {inference.race: hedged}").first)
    #expect(try verdict(setting, #"{"data":[\#(race)]}"#) == .proceed(ifMatch: #""7""#))
    let set = #"{"id":"inference.race","value":"dual","source":"runtime"}"#
    #expect(try verdict(setting, #"{"data":[\#(set)]}"#) == .changed(["value"]))
    let removed = try #require(try changes([(.settings, set)], "settings: {}", prune: true).first)
    #expect(try verdict(removed, #"{"data":[\#(set)]}"#) == .proceed(ifMatch: #""7""#))
    #expect(
      try verdict(removed, #"{"data":[\#(set.replacing("dual", with: "single"))]}"#)
        == .changed(["value"]))
    #expect(try verdict(removed, #"{"data":[\#(race)]}"#) == .isDone)
  }

  @Test("a request for a key without an answer leads to a search for the key")
  func unknownOutcome() throws {
    let changes = try changes([], "keys: [{name: ci}]\norganisations: [{id: acme}]")
    let key = try #require(changes.first { $0.makesKey })
    #expect(key.unknownOutcome("no answer").contains("`tutti keys list` shows a new key ci"))
    let organisation = try #require(changes.first { !$0.makesKey })
    #expect(organisation.unknownOutcome("no answer").hasSuffix("whether the change was made"))
  }
}
