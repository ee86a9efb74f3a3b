import Access
import ClusterModel
import Limits
import Money

/// The table of kinds. A kind that is added here is exported, compared and applied.
extension RecordKind {
  /// All kinds, in the order in which new records are made. A record comes after the records that
  /// it names.
  public static let all = [
    organisations, teams, hosts, models, prices, tariff, settings, keys,
  ]

  public static let organisations = RecordKind(
    "organisations", noun: "organisation", path: "/admin/v1/organisations",
    idForm: .organisation,
    members: [
      RecordMember("name", .text(atMost: 256), absent: .keeps),
      RecordMember("prepaid", .flag, absent: .means(.boolean(false))),
      RecordMember("budgets", budgets, absent: .means(.list([]))),
    ],
    removal: .delete(verb: "removed; its id is not used again if the ledger has entries of it"))

  public static let teams = RecordKind(
    "teams", noun: "team", path: "/admin/v1/teams", idForm: .team,
    members: [
      RecordMember("name", .text(atMost: 256), absent: .keeps),
      RecordMember("budgets", budgets, absent: .means(.list([]))),
    ],
    removal: .delete(verb: "removed"))

  public static let hosts = RecordKind(
    "hosts", noun: "host", path: "/admin/v1/hosts", idForm: .host,
    members: [
      RecordMember("url", .url, absent: .mistake, isFixed: true),
      RecordMember("credential", .credential),
      RecordMember("allow_plain_http", .flag, absent: .keeps, by: .consent),
      RecordMember("tier", choice(of: HostTier.self), absent: .means(.text("community"))),
      RecordMember("trust", choice(of: DataPolicy.self), absent: .means(.text("any"))),
      RecordMember("price_input", .price),
      RecordMember("price_output", .price),
      RecordMember(
        "tags", .set(.tag, atMost: Limits.hostTags.value), absent: .means(.list([]))),
      RecordMember("region", .tag),
      RecordMember(
        "dialect", choice(of: HostDialect.self, or: "auto"), absent: .keeps, isLearned: true),
      RecordMember(
        "resume", choice(of: ResumeWay.self, or: "auto"), absent: .keeps, isLearned: true),
      RecordMember("slots", .integer(1...65_536), absent: .keeps, isLearned: true),
      RecordMember(
        "models", .list(modelName, atMost: Limits.hostModels.value), absent: .keeps,
        isLearned: true),
    ],
    removal: .delete(verb: "removed"))

  public static let models = RecordKind(
    "models", noun: "model", path: "/admin/v1/models",
    members: [
      // The preferred model comes first.
      RecordMember(
        "stands_for", .list(modelName, atMost: Limits.modelAliasTargets.value),
        absent: .means(.list([]))),
      RecordMember("ranked", .flag, absent: .means(.boolean(false))),
      RecordMember("hosts", .set(.text()), absent: .means(.list([]))),
      RecordMember(
        "host_pools", .set(.tag, atMost: Limits.modelRecordPools.value),
        absent: .means(.list([]))),
      RecordMember("hidden", .flag, absent: .means(.boolean(false))),
      RecordMember("kind", choice(of: ModelKind.self)),
      RecordMember("context_tokens", .integer(1...Int(UInt32.max))),
      RecordMember(
        "minimum_versions", .set(.text(), atMost: Limits.modelRecordVersions.value),
        absent: .means(.list([]))),
    ],
    creation: .patch, removal: .delete(verb: "removed"), isRecent: true)

  public static let prices = RecordKind(
    "prices", noun: "price", path: "/admin/v1/prices", identity: .prices,
    members: [
      RecordMember("model", modelName, absent: .mistake),
      RecordMember("host", .text(atMost: 256)),
      RecordMember("input", .price, absent: .mistake),
      RecordMember("cached_input", .price),
      RecordMember("output", .price, absent: .mistake),
      RecordMember("effective_from_ms", .time),
    ],
    paging: .next, removal: .never(because: "prices are only added"))

  public static let tariff = RecordKind(
    "tariff", noun: "tariff", path: "/admin/v1/tariff", identity: .single,
    members: [
      RecordMember("unknown_price", choice(of: UnknownPrice.self), absent: .keeps),
      RecordMember(
        "payout_rule",
        .object([
          RecordMember("reservation_fee", .price, absent: .mistake),
          RecordMember("progress_fee_per_million", .price, absent: .mistake),
          RecordMember("per_mille_of_winner", .integer(PayoutRule.shares), absent: .mistake),
        ]), absent: .keeps),
    ],
    paging: .none, removal: .never(because: "there is always one"))

  public static let settings = RecordKind(
    "settings", noun: "setting", path: "/admin/v1/settings", identity: .map,
    members: [RecordMember("value", .any, absent: .mistake)],
    paging: .none, creation: .patch, removal: .null, isRecent: true)

  public static let keys = RecordKind(
    "keys", noun: "key", path: "/admin/v1/keys", identity: .nameOrID,
    members: [
      RecordMember("name", .text(atMost: Limits.accessNameBytes.value), absent: .mistake),
      RecordMember("account", .account, absent: .means(.text("default"))),
      RecordMember(
        "scopes", .set(choice(of: AccessScope.self)),
        absent: .means(.list([.text("chat"), .text("embeddings"), .text("plans")]))),
      RecordMember(
        "permissions",
        .object([
          RecordMember("models", .set(.text(), atMost: names), absent: .means(.list([]))),
          RecordMember(
            "patterns", .set(choice(of: PatternName.self)), absent: .means(.list([]))),
          RecordMember(
            "data_policies", .set(choice(of: DataPolicy.self)), absent: .means(.list([]))),
          RecordMember("host_pools", .set(.text(), atMost: names), absent: .means(.list([]))),
        ]), absent: .means(.object([:]))),
      RecordMember(
        "limits",
        .object(
          [
            "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day",
            "concurrent_requests",
          ].map { RecordMember($0, .integer(1...Limits.accessRateLimit.value)) }),
        absent: .means(.object([:]))),
      RecordMember("expires_at_ms", .time),
      RecordMember(
        "state", .choice(["active", "disabled"]), absent: .means(.text("active")), by: .state),
      RecordMember("budgets", budgets, absent: .means(.list([])), by: .keyBudgets),
    ],
    removal: .delete(verb: "revoked"))

  /// Path of a key's budgets.
  public static func keyBudgetsPath(_ id: String) -> String {
    "/admin/v1/key-budgets/" + PathText.escaped(id)
  }

  private static let budgets = RecordShape.set(
    .object([
      RecordMember("amount", .amount, absent: .mistake),
      RecordMember("period", choice(of: BudgetPeriod.self), absent: .mistake),
      RecordMember(
        "window", choice(of: BudgetWindow.Kind.self), absent: .means(.text("calendar"))),
      RecordMember(
        "warnings", .set(.integer(1...1_000), atMost: Limits.budgetWarnings.value),
        absent: .means(.list([]))),
    ]))

  private static let modelName = RecordShape.text(atMost: Limits.modelNameBytes.value)

  /// Maximum names in a permission of a key.
  private static let names = Limits.accessListEntries.value

  /// - Parameter other: a further choice.
  private static func choice<Choice: CaseIterable & RawRepresentable<String>>(
    of _: Choice.Type, or other: String? = nil
  ) -> RecordShape { .choice([other].compactMap(\.self) + Choice.allCases.map(\.rawValue)) }
}
