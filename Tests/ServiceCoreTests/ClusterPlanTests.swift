import ClusterModel
import Testing

@testable import CommandLineCore

private let present: Int64 = 1_800_000_000_000

@Suite("Plans of `tutti apply`")
struct ClusterPlanTests {
  private func state(_ records: [(RecordKind, String)]) throws -> ClusterState {
    var state = ClusterState()
    for (kind, json) in records {
      let value = try #require(RecordValue(json: Array(json.utf8)), "\(json)")
      try state.add([value], of: kind)
    }
    return state
  }

  private func plan(
    _ records: [(RecordKind, String)], _ file: String, prune: Bool = false, now: Int64 = present
  ) throws -> ClusterPlan {
    try ClusterPlan(
      from: state(records), to: ClusterFile(text: file, path: "c.yaml"), prune: prune, now: now)
  }

  private func message(
    _ records: [(RecordKind, String)], _ file: String, prune: Bool = false
  ) -> String {
    do {
      _ = try plan(records, file, prune: prune)
      return ""
    } catch {
      return (error as? ProcessFailure)?.message ?? "\(error)"
    }
  }

  private static let key =
    #"{"id":"abcdefgh2345","name":"ci","account":"acme","scopes":["chat"],"state":"active","#
    + #""limits":{"tokens_per_day":1000}}"#

  @Test("the comparison shows created, changed and removed records with old and new values")
  func lines() throws {
    let plan = try plan(
      [
        (.keys, Self.key),
        (.hosts, #"{"id":"old","url":"http://10.0.0.9","trust":"any","state":"ready"}"#),
      ],
      """
      organisations:
        - {id: acme, prepaid: true, budgets: [{amount: 5, period: month}]}
      keys:
        - {name: ci, account: acme, scopes: [chat], limits: {tokens_per_day: 2000}, state: disabled}
      hosts: []
      """, prune: true)
    #expect(
      PlanText.lines(of: plan) == [
        "+ organisation acme", "    prepaid: true",
        "    budgets: [{amount: 5, period: month, warnings: [], window: calendar}]",
        "~ key ci (abcdefgh2345)", "    limits.tokens_per_day: 1000 → 2000",
        "    state: active → disabled", "- host old (removed)",
        "1 to create, 1 to change, 1 to remove",
      ])
  }

  @Test("times are shown as dates, and objects without members that have no effect")
  func shown() throws {
    let made = try plan(
      [], "keys: [{name: ci, limits: {tokens_per_day: 5}, expires_at_ms: 2030-01-31}]")
    #expect(
      PlanText.lines(of: made).dropLast() == [
        "+ key ci", "    limits: {tokens_per_day: 5}", "    expires_at_ms: 2030-01-31T00:00:00Z",
      ])
    let key = Self.key.replacing(#""name""#, with: #""expires_at_ms":1893456000001,"name""#)
    let changed = try plan(
      [(.keys, key)],
      "keys: [{name: ci, account: acme, scopes: [chat], limits: {tokens_per_day: 1000}, "
        + "expires_at_ms: 2030-01-31T12:00:00Z}]")
    #expect(
      PlanText.lines(of: changed).dropLast().last
        == "    expires_at_ms: 1893456000001 → 2030-01-31T12:00:00Z")
  }

  @Test("each change becomes the requests of its kind, with the record whose ETag must match")
  func calls() throws {
    let changed = try plan(
      [(.keys, Self.key)],
      "keys: [{name: ci, account: acme, scopes: [chat], state: disabled, "
        + "budgets: [{amount: 1, period: day}]}]")
    let path = "/admin/v1/keys/abcdefgh2345"
    let calls = try #require(changed.changes.first).firstCalls
    #expect(
      calls.map { "\($0.method.rawValue) \($0.path) \($0.guardPath ?? "-")" } == [
        "PATCH \(path) \(path)",
        "PUT /admin/v1/key-budgets/abcdefgh2345 /admin/v1/key-budgets/abcdefgh2345",
        "POST \(path)/disable \(path)",
      ])
    let made = try plan([], "keys: [{name: new, state: disabled}]").changes
    #expect(
      made.flatMap(\.firstCalls) == [
        AdminCall(
          method: .post, path: "/admin/v1/keys", body: .object(["name": .text("new")]),
          guardPath: nil)
      ])
    #expect(
      made.flatMap { $0.followingCalls(id: "x") }.map(\.path) == ["/admin/v1/keys/x/disable"])
  }

  @Test("models and settings are changed where older kinds would be created")
  func recentKinds() throws {
    let plan = try plan(
      [
        (.models, #"{"id":"plain","hidden":false,"offers":[]}"#),
        (.models, #"{"id":"org/m","hidden":true}"#),
        (.settings, #"{"id":"inference.race","value":"dual","source":"configuration"}"#),
        (.settings, #"{"id":"gateway.max_requests","value":64,"source":"runtime"}"#),
      ],
      "models: [{id: fast, stands_for: [org/m]}]\nsettings: {inference.race: hedged}", prune: true)
    #expect(
      plan.changes.flatMap(\.firstCalls).map {
        let body = $0.body.map { String(decoding: $0.encoded, as: UTF8.self) } ?? ""
        return "\($0.method.rawValue) \($0.path) \(body)"
      } == [
        #"PATCH /admin/v1/models/fast {"stands_for":["org/m"]}"#,
        #"PATCH /admin/v1/settings {"inference.race":"hedged"}"#,
        #"PATCH /admin/v1/settings {"gateway.max_requests":null}"#,
        "DELETE /admin/v1/models/org%2Fm ",
      ])
  }

  @Test("a section that the registry does not know is skipped with a note")
  func unknownSection() throws {
    var state = ClusterState()
    state.setUnknown(.models)
    let file = try ClusterFile(text: "models: [{id: a, hidden: true}]", path: "")
    let plan = try ClusterPlan(from: state, to: file, prune: false, now: present)
    #expect(plan.isEmpty)
    #expect(plan.notes == ["this registry has no models: the section models is skipped"])
  }

  @Test("records that the file lacks stay without --prune")
  func kept() throws {
    let records: [(RecordKind, String)] = [
      (.keys, Self.key), (.organisations, #"{"id":"acme","name":"A","prepaid":false}"#),
    ]
    let kept = try plan(records, "keys: []\norganisations: []")
    #expect(kept.isEmpty && kept.notes.count == 2)
    let pruned = try plan(records, "keys: []\norganisations: []", prune: true)
    #expect(pruned.changes.map(\.title) == ["key ci (abcdefgh2345)", "organisation acme"])
    #expect(pruned.notes.isEmpty)
    #expect(try plan(records, "hosts: []", prune: true).isEmpty)
  }

  private static let acme =
    #"{"id":"acme","name":"A","prepaid":false,"balance":"-5","held":"5"}"#
  private static let web = #"{"id":"acme/web","name":"acme/web"}"#

  @Test("an account is removed after its keys and teams, and the comparison shows it")
  func removedAccounts() throws {
    let records: [(RecordKind, String)] = [
      (.organisations, Self.settled), (.teams, Self.web), (.keys, Self.webKey),
    ]
    let plan = try plan(records, "keys: []\nteams: []\norganisations: []", prune: true)
    #expect(
      PlanText.lines(of: plan) == [
        "- key ci (abcdefgh2345) (revoked)", "- team acme/web (removed)",
        "- organisation acme (removed; its id is not used again if the ledger has entries of it)",
        "0 to create, 0 to change, 3 to remove",
      ])
    #expect(plan.notes.isEmpty)
    let calls = plan.changes.flatMap(\.firstCalls)
    #expect(calls.map(\.method) == [.delete, .delete, .delete])
    #expect(
      calls.dropFirst().map(\.path) == [
        "/admin/v1/organisations/acme/teams/web", "/admin/v1/organisations/acme",
      ])
  }

  /// Compares with `--prune`, and checks the changes, and the notes on records that stay.
  private func check(
    _ records: [(RecordKind, String)], _ file: String, changes: [String], notes: [String]
  ) throws {
    let plan = try plan(records, file, prune: true)
    #expect(plan.changes.map(\.title) == changes, "\(file)")
    let phrase = " is not in the file and stays: "
    let found = plan.notes.filter { $0.contains(phrase) }.map { $0.replacing(phrase, with: ": ") }
    #expect(found == notes, "\(file): \(plan.notes)")
  }

  private static let settled = acme.replacing(
    #""-5","held":"5""#, with: #""0","held":"0""#)
  private static let webKey = key.replacing(#""acme""#, with: #""acme/web""#)

  @Test("an account with keys or teams stays, and a note has the reasons")
  func usedAccounts() throws {
    let organisation: (RecordKind, String) = (.organisations, Self.settled)
    let team: (RecordKind, String) = (.teams, Self.web)
    let label = "ci (abcdefgh2345)"
    // The section of keys is absent, so the key stays.
    try check(
      [organisation, team, (.keys, Self.webKey)], "organisations: []\nteams: []", changes: [],
      notes: [
        "team acme/web: it has the key \(label)",
        "organisation acme: it has the key \(label); it has the team acme/web",
      ])
    // The key moves to another account before the team is removed.
    let moved = "{name: ci, account: acme, scopes: [chat], limits: {tokens_per_day: 1000}}"
    try check(
      [organisation, team, (.keys, Self.webKey)],
      "organisations: [{id: acme}]\nteams: []\nkeys: [\(moved)]",
      changes: ["key \(label)", "team acme/web"], notes: [])
    try check(
      [organisation], "organisations: []\nkeys: [{name: new, account: acme}]",
      changes: ["key new"], notes: ["organisation acme: it has the key new"])
    try check(
      [organisation, team], "organisations: []\nteams: [{id: acme/web}]", changes: [],
      notes: ["organisation acme: it has the team acme/web"])
  }

  @Test("a replaced key is no part of a file, and keeps its account until its grace period ends")
  func replacedKey() throws {
    for (end, isUsed) in [(present + 1, true), (present, false)] {
      let key = Self.webKey.replacing(#""state""#, with: #""grace_until_ms":\#(end),"state""#)
      try check(
        [(.organisations, Self.settled), (.keys, key)], "organisations: []",
        changes: isUsed ? [] : ["organisation acme"],
        notes: isUsed ? ["organisation acme: it has the key ci (abcdefgh2345)"] : [])
    }
  }

  @Test("an organisation with credits stays, and so does the one of keys without an account")
  func usedCredits() throws {
    let cases = [
      (Self.acme, "organisation acme: gateways hold 5 credits for its requests"),
      (
        Self.acme.replacing(#""held":"5""#, with: #""held":"0""#),
        "organisation acme: its balance is -5 credits"
      ),
      (
        Self.settled.replacing("acme", with: "default"),
        "organisation default: keys without an account belong to it"
      ),
    ]
    for (record, note) in cases {
      try check([(.organisations, record)], "organisations: []", changes: [], notes: [note])
    }
  }

  @Test("keys and teams are read only if an account may be removed")
  func needs() throws {
    let file = try ClusterFile(text: "organisations: []", path: "")
    #expect(!file.needs(.keys, prune: false) && !file.needs(.teams, prune: false))
    #expect(file.needs(.keys, prune: true) && file.needs(.teams, prune: true))
    #expect(!file.comparesKeys)
    let hosts = try ClusterFile(text: "hosts: []", path: "")
    #expect(!hosts.needs(.keys, prune: true) && !hosts.needs(.organisations, prune: true))
  }

  @Test("revoked and replaced keys are no part of the cluster")
  func endedKeys() throws {
    let records: [(RecordKind, String)] = [
      (.keys, #"{"id":"abcdefgh2345","name":"ci","state":"revoked"}"#),
      (.keys, #"{"id":"abcdefgh2346","name":"ci","state":"active","grace_until_ms":5}"#),
    ]
    #expect(try plan(records, "keys: [{name: ci}]", prune: true).newKeys == ["ci"])
  }

  @Test("keys with one name are distinguished by their ids")
  func sameName() throws {
    let records: [(RecordKind, String)] = [
      (.keys, #"{"id":"abcdefgh2345","name":"ci","state":"active"}"#),
      (.keys, #"{"id":"abcdefgh2346","name":"ci","state":"active"}"#),
    ]
    #expect(message(records, "keys: [{name: ci}]").contains("2 keys have the name ci"))
    let plan = try plan(records, "keys: [{name: ci, id: abcdefgh2345}, {name: ci}]")
    #expect(plan.isEmpty && plan.notes.isEmpty)
    #expect(message([], "keys: [{name: ci, id: abcdefgh2345}]").contains("there is no key"))
  }

  @Test("a host's URL cannot change, and other spellings of it are no change")
  func url() throws {
    let records: [(RecordKind, String)] = [
      (.hosts, #"{"id":"a","url":"http://gpu:8000","dialect":"openai","slots":4}"#)
    ]
    #expect(try plan(records, "hosts: [{id: a, url: 'HTTP://GPU:8000/v1/'}]").isEmpty)
    #expect(
      message(records, "hosts: [{id: a, url: 'http://cpu'}]").contains("c.yaml:1: hosts: url"))
    #expect(
      try plan(records, "hosts: [{id: a, url: 'http://gpu:8000', slots: 8}]").changes.count == 1)
  }

  @Test("a host that takes over a URL is made after the old one is removed")
  func order() throws {
    let plan = try plan(
      [(.hosts, #"{"id":"a","url":"http://gpu:8000"}"#), (.keys, Self.key)],
      "hosts: [{id: b, url: 'http://gpu:8000'}]\nkeys: []", prune: true)
    #expect(plan.changes.map(\.title) == ["host a", "host b", "key ci (abcdefgh2345)"])
  }

  @Test("a changed price becomes a new row from now on, and a later one keeps its time")
  func prices() throws {
    let records: [(RecordKind, String)] = [
      (
        .prices,
        #"{"model":"m","input":"1","cached_input":"1","output":"2","effective_from_ms":1000}"#
      )
    ]
    #expect(try plan(records, "prices: [{model: m, input: 1.0, output: 2}]").isEmpty)
    let changed = try plan(
      records,
      """
      prices:
        - {model: m, input: 1, output: 3}
        - {model: m, input: 1, output: 4, effective_from_ms: 2027-12-31}
      """)
    #expect(
      PlanText.lines(of: changed).dropLast() == [
        "~ price m", "    output: 2 → 3", "+ price m from 2027-12-31T00:00:00Z", "    input: 1",
        "    output: 4",
      ])
    #expect(changed.changes.first?.firstCalls.first?.body?["effective_from_ms"] ?? .null == .null)
  }

  @Test("after a later price has begun, the file still means it")
  func begunPrice() throws {
    let file = """
      prices:
        - {model: m, input: 1, output: 3}
        - {model: m, input: 1, output: 4, effective_from_ms: 1800000100000}
      """
    let rows: [(RecordKind, String)] = [(1_000, "3"), (1_800_000_100_000, "4")].map {
      (
        .prices,
        #"{"model":"m","input":"1","cached_input":"1","output":"\#($0.1)","#
          + #""effective_from_ms":\#($0.0)}"#
      )
    }
    #expect(try plan(rows, file).isEmpty)
    #expect(try plan(rows, file, now: present + 200_000).isEmpty)
    let other = #"{"model":"m","input":"1","output":"9","effective_from_ms":1800000100000}"#
    #expect(message([rows[0], (.prices, other)], file).contains("choose a later time"))
  }

  @Test("a team needs an organisation of the cluster or of the file")
  func owners() throws {
    #expect(message([], "teams: [{id: acme/web}]").contains("there is no organisation acme"))
    #expect(try plan([], "teams: [{id: acme/web}]\norganisations: [{id: acme}]").changes.count == 2)
    let acme = #"{"id":"acme","name":"A","prepaid":false}"#
    #expect(try plan([(.organisations, acme)], "teams: [{id: acme/web}]").notes == [])
  }

  @Test("keys that were made since the comparison are known by their names")
  func newKeys() throws {
    let old = try state([(.keys, Self.key)])
    let other = Self.key.replacing("abcdefgh2345", with: "abcdefgh2346")
    let new = try state([
      (.keys, Self.key), (.keys, other.replacing(#""ci""#, with: #""web""#)),
      (.keys, other.replacing("2346", with: "2347").replacing("active", with: "revoked")),
    ])
    #expect(new.keyNames(except: old.keyIDs) == ["web"])
  }

  @Test("a time in the past is refused before anything is changed")
  func expired() throws {
    let file = "keys: [{name: ci, account: acme, scopes: [chat], expires_at_ms: 2020-01-31}]"
    #expect(message([], file).contains("c.yaml:1: keys: expires_at_ms of ci is in the past"))
    #expect(message([(.keys, Self.key)], file).contains("is in the past"))
    // A key that has expired already stays as it is.
    let past = Self.key.replacing(#""name""#, with: #""expires_at_ms":1580428800000,"name""#)
    #expect(!message([(.keys, past)], file).contains("is in the past"))
  }

  @Test("a new key of an account that does not exist is noted with a similar name")
  func missingAccount() throws {
    let acme = #"{"id":"acme","name":"A","prepaid":false}"#
    let notes = try plan([(.organisations, acme)], "keys: [{name: ci, account: acmee}]").notes
    #expect(notes.count == 1 && notes[0].contains("key ci: there is no organisation acmee"))
    #expect(notes[0].contains("did you mean acme?"))
    #expect(
      try plan(
        [(.organisations, acme)],
        "keys: [{name: a, account: acme/web}, {name: b}]\n"
          + "teams: [{id: acme/web}]"
      ).notes == [])
  }

  @Test("after a failure, the message has what was applied and what not")
  func failure() throws {
    let plan = try plan([], "organisations: [{id: a}, {id: b}, {id: c}]")
    #expect(
      PlanText.failure(of: plan, afterApplying: 1, because: "no room").split(separator: "\n")
        .dropLast() == [
          "organisation b: no room", "applied: organisation a", "failed: organisation b",
          "not applied: organisation c",
        ])
  }
}
