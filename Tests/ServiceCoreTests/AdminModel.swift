@testable import CommandLineCore

/// A model of the registry's admin API: it applies calls to records.
/// It knows nothing of cluster files, and compares no records with them.
struct AdminModel: Equatable {
  /// Members of each record as the registry returns them, by path of the list and id.
  private(set) var lists: [String: [String: [String: RecordValue]]] = [:]
  private(set) var prices: [[String: RecordValue]] = []
  private(set) var tariff: [String: RecordValue]
  private(set) var settings: [String: RecordValue] = [:]
  /// Names of the settings in this model. Each is listed, whether or not it has a value.
  private static let settingNames = [
    "gateway.max_requests", "inference.load_weight", "inference.race",
  ]
  private(set) var keyBudgets: [String: RecordValue] = [:]
  private var keyCount = 0
  /// Milliseconds since 1970.
  var now: Int64 = 1_800_000_000_000

  private static let root = "/admin/v1/"

  init() {
    tariff = [
      "unknown_price": .text("free"),
      "payout_rule": .object([
        "reservation_fee": .text("0"), "progress_fee_per_million": .text("0.1"),
        "per_mille_of_winner": .integer(150),
      ]),
    ]
  }

  // MARK: - Changes

  /// Performs a call.
  ///
  /// - Returns: the id of the record, or an empty text. `nil` means that the call is refused.
  mutating func perform(_ call: AdminCall) -> String? {
    guard call.path.hasPrefix(Self.root) else { return nil }
    let parts = call.path.dropFirst(Self.root.count).split(separator: "/").map {
      Self.unescaped(String($0))
    }
    let body: [String: RecordValue] =
      if case .object(let members)? = call.body { members } else { [:] }
    switch (call.method, parts.count) {
    case (.post, 1) where parts[0] == "prices": return addPrice(body) ? "" : nil
    case (.patch, 1) where parts[0] == "tariff":
      tariff.merge(body) { _, new in new }
      return ""
    case (.patch, 1) where parts[0] == "settings":
      for (name, value) in body { settings[name] = value == .null ? nil : value }
      return ""
    case (.put, 2) where parts[0] == "key-budgets":
      keyBudgets[parts[1]] = Self.budgets(body["budgets"])
      return ""
    case (.post, 1): return create(parts[0], body)
    case (.patch, 4) where parts[2] == "teams":
      return change("teams", parts[1] + "/" + parts[3], body)
    case (.patch, 2) where parts[0] == "models" && lists["models"]?[parts[1]] == nil:
      lists["models", default: [:]][parts[1]] = Self.modelDefaults
      return change("models", parts[1], body)
    case (.patch, 2): return change(parts[0], parts[1], body)
    case (.post, 3) where parts[0] == "keys":
      return change(
        "keys", parts[1], ["state": .text(parts[2] == "disable" ? "disabled" : "active")])
    case (.delete, 2) where parts[0] == "keys":
      return change("keys", parts[1], ["state": .text("revoked")])
    case (.delete, 4) where parts[2] == "teams":
      let team = parts[1] + "/" + parts[3]
      guard !isInUse(team) else { return nil }
      return lists["teams"]?.removeValue(forKey: team) == nil ? nil : ""
    case (.delete, 2) where parts[0] == "organisations" && isInUse(parts[1]): return nil
    case (.delete, 2): return lists[parts[0]]?.removeValue(forKey: parts[1]) == nil ? nil : ""
    default: return nil
    }
  }

  private static let defaults: [String: [String: RecordValue]] = [
    "organisations": ["prepaid": .boolean(false), "budgets": .list([])],
    "teams": ["budgets": .list([])],
    "hosts": [
      "dialect": .null, "resume": .null, "credential": .null,
      "tier": .text("community"), "trust": .text("any"),
      "price_input": .null, "price_output": .null,
      "models": .list([]), "slots": .null, "state": .text("ready"), "tags": .list([]),
      "region": .null,
    ],
    "keys": [
      "account": .text("default"), "state": .text("active"), "expires_at_ms": .null,
      "scopes": .list([.text("embeddings"), .text("chat"), .text("plans")]),
      "permissions": .object([:]), "limits": .object([:]), "grace_until_ms": .null,
    ],
  ]

  private static let modelDefaults: [String: RecordValue] = [
    "stands_for": .list([]), "hosts": .list([]), "host_pools": .list([]),
    "ranked": .boolean(false), "hidden": .boolean(false), "kind": .null, "context_tokens": .null,
    "minimum_versions": .list([]),
  ]

  private mutating func create(_ list: String, _ body: [String: RecordValue]) -> String? {
    guard let defaults = Self.defaults[list] else { return nil }
    var id = body["id"]?.text ?? ""
    if list == "keys" {
      keyCount += 1
      id = "id\(keyCount)"
    }
    guard !id.isEmpty, lists[list]?[id] == nil else { return nil }
    if list == "hosts" {
      let url = Self.machine(body["url"])
      if lists["hosts"]?.values.contains(where: { Self.machine($0["url"]) == url }) == true {
        return nil
      }
    }
    lists[list, default: [:]][id] = defaults.merging(["id": .text(id), "name": .text(id)]) {
      _, new in new
    }
    return change(list, id, body)
  }

  private mutating func change(
    _ list: String, _ id: String, _ body: [String: RecordValue]
  ) -> String? {
    guard var record = lists[list]?[id], record["state"] != .text("revoked") else { return nil }
    if list == "teams" {
      let organisation = String(id.prefix { $0 != "/" })
      guard lists["organisations"]?[organisation] != nil else { return nil }
    }
    if list == "models", !permits(body["stands_for"], of: id) { return nil }
    for (name, value) in body where name != "allow_plain_http" {
      switch (name, record[name], value) {
      case ("permissions", .object(let old)?, .object(let new)),
        ("limits", .object(let old)?, .object(let new)):
        record[name] = .object(old.merging(new) { _, new in new })
      case ("budgets", _, _): record[name] = Self.budgets(value)
      case ("dialect", _, .text("auto")), ("resume", _, .text("auto")): record[name] = .null
      default: record[name] = value
      }
    }
    lists[list]?[id] = record
    return id
  }

  /// Whether the aliases are permitted. An alias never stands for another alias.
  private func permits(_ aliases: RecordValue?, of id: String) -> Bool {
    guard let targets = aliases?.elements, !targets.isEmpty else { return true }
    let models = lists["models"] ?? [:]
    return !targets.contains(.text(id)) && Set(targets).count == targets.count
      && !targets.contains { models[$0.text ?? ""]?["stands_for"]?.elements?.isEmpty == false }
      && !models.values.contains { $0["stands_for"]?.elements?.contains(.text(id)) == true }
  }

  /// Whether an account has keys that are not revoked, or teams.
  private func isInUse(_ account: String) -> Bool {
    let accounts =
      (lists["keys"] ?? [:]).values.filter { $0["state"] != .text("revoked") }
      .compactMap { $0["account"]?.text } + (lists["teams"] ?? [:]).keys.filter { $0 != account }
    return accounts.contains { $0 == account || $0.hasPrefix(account + "/") }
  }

  /// Returns the URL with `127.0.0.1` in place of `localhost`.
  private static func machine(_ url: RecordValue?) -> String {
    (url?.text ?? "").replacing("localhost", with: "127.0.0.1")
  }

  /// A host as the registry returns it. Its members have the values in force, and `configured` has
  /// only the values that were set.
  private static func host(_ settings: [String: RecordValue]) -> [String: RecordValue] {
    let learned = ["dialect", "resume", "slots", "models"]
    var host = settings
    host["configured"] = .object(settings.filter { learned.contains($0.key) })
    func report(_ name: String, _ value: RecordValue) {
      if host[name] == .null { host[name] = value }
    }
    report("dialect", .text("openai"))
    report("resume", .text("instruct"))
    report("slots", .integer(4))
    let models = settings["models"]?.elements ?? []
    host["models"] = .list(
      ((models.isEmpty ? [.text("learned")] : models) + [.text("alias")]).map {
        .object(["id": $0])
      })
    return host
  }

  private mutating func addPrice(_ body: [String: RecordValue]) -> Bool {
    var row = body.filter { $0.value != .null }
    let start = row["effective_from_ms"]?.integer.map { Int64($0) } ?? now + 1_000
    guard start >= now else { return false }
    row["effective_from_ms"] = .integer(Int(start))
    row["cached_input"] = row["cached_input"] ?? row["input"]
    func isSame(_ other: [String: RecordValue]) -> Bool {
      ["model", "host", "effective_from_ms"].allSatisfy { row[$0] == other[$0] }
    }
    if let same = prices.first(where: isSame) { return same == row }
    prices.append(row)
    return true
  }

  /// The budgets as the registry returns them, with their spending.
  private static func budgets(_ value: RecordValue?) -> RecordValue {
    .list(
      (value?.elements ?? []).map { budget in
        guard case .object(var members) = budget else { return budget }
        members["spent"] = .text("1.5")
        members["window"] = members["window"] ?? .text("calendar")
        return .object(members)
      })
  }

  private static func unescaped(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"),
        let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        bytes.append(code)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: - Answers

  /// All records, read as `tutti apply` reads them.
  func state() throws -> ClusterState {
    var state = ClusterState()
    for kind in RecordKind.all {
      let elements: [RecordValue]
      switch kind.section {
      case "prices": elements = prices.map { .object($0) }
      case "tariff": elements = [.object(tariff)]
      case "settings":
        elements = Self.settingNames.map { name in
          .object([
            "id": .text(name), "value": settings[name] ?? .null,
            "source": .text(settings[name] == nil ? "configuration" : "runtime"),
          ])
        }
      case "hosts":
        elements = (lists["hosts"] ?? [:]).sorted { $0.key < $1.key }.map {
          .object(Self.host($0.value).merging(["id": .text($0.key)]) { _, new in new })
        }
      default:
        elements = (lists[kind.section] ?? [:]).sorted { $0.key < $1.key }.map {
          .object($0.value.merging(["id": .text($0.key)]) { _, new in new })
        }
      }
      try state.add(elements, of: kind)
    }
    for id in state.keyIDs {
      state.setKeyBudgets(.object(["budgets": keyBudgets[id] ?? .list([])]), of: id)
    }
    return state
  }

  /// Makes all changes of a plan.
  ///
  /// - Returns: the first call that is refused. `nil` means that all were made.
  mutating func apply(_ plan: ClusterPlan) -> AdminCall? {
    for change in plan.changes {
      var id = change.id
      for call in change.firstCalls {
        guard let made = perform(call) else { return call }
        if change.makesKey { id = made }
      }
      for call in change.followingCalls(id: id) where perform(call) == nil { return call }
    }
    return nil
  }
}
