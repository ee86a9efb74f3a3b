public import Access
internal import ClusterModel
public import Money

// Records of accounts as the registry stores them. A key's budgets have a record of their own,
// because the key's record is published to gateways and its budgets are not.

/// A budget as stored: its terms, and the place in the ledger from which spending counts.
public struct BudgetRecord: Hashable, Sendable {
  public let terms: BudgetTerms
  /// Number of ledger transactions when the budget was made. Later transactions count against the
  /// budget.
  ///
  /// It is a place in the ledger and not a time, so that no charge counts twice if the clock is set
  /// back.
  public let afterPosition: Int64

  public init(terms: BudgetTerms, afterPosition: Int64) {
    self.terms = terms
    self.afterPosition = afterPosition
  }
}

public struct OrganisationRecord: Hashable, Sendable {
  public let id: String
  /// Display name.
  public let name: String
  /// Whether the organisation pays before use. If so, its balance never falls below zero.
  public let isPrepaid: Bool
  public let budgets: [BudgetRecord]

  public init(id: String, name: String, isPrepaid: Bool, budgets: [BudgetRecord]) {
    self.id = id
    self.name = name
    self.isPrepaid = isPrepaid
    self.budgets = budgets
  }
}

public struct TeamRecord: Hashable, Sendable {
  /// The team's organisation, and the team's own id.
  public let account: AccountPath
  /// Display name.
  public let name: String
  public let budgets: [BudgetRecord]

  init(account: AccountPath, name: String, budgets: [BudgetRecord]) {
    self.account = account
    self.name = name
    self.budgets = budgets
  }
}

public struct KeyBudgetsRecord: Hashable, Sendable {
  /// Id of the key.
  public let key: String
  public let budgets: [BudgetRecord]

  public init(key: String, budgets: [BudgetRecord]) {
    self.key = key
    self.budgets = budgets
  }
}

/// One stored record. It replaces the stored record with the same subject.
public enum AccountRecord: Hashable, Sendable {
  case organisation(OrganisationRecord)
  case team(TeamRecord)
  case keyBudgets(KeyBudgetsRecord)
  /// A row of the price book. Rows are only added, never changed.
  case price(PriceRow)
  /// A row of the price book that was withdrawn before it was in force. The store has both records.
  case withdrawnPrice(PriceRow)
  case payoutRule(PayoutRule)
  case unknownPrice(UnknownPrice)
  /// The account has no record any more.
  case removedAccount(AccountPath)
}

// MARK: - JSON

/// Credits as a JSON string with a decimal number, such as `"12.5"`. Many readers round JSON
/// numbers.
public struct CreditsText: Hashable, Codable, Sendable {
  public let amount: MicroCredits

  public init(_ amount: MicroCredits) { self.amount = amount }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    do throws(AmountTextError) {
      amount = try MicroCredits(credits: try Self.text(container))
    } catch {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(error)")
    }
  }

  /// The text of a JSON string. Values of other types are refused.
  private static func text(
    _ container: any SingleValueDecodingContainer
  ) throws(AmountTextError) -> String {
    guard let text = try? container.decode(String.self) else { throw .notDecimal }
    return text
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(amount.credits)
  }
}

extension BudgetRecord: Codable {
  enum CodingKeys: String, CodingKey {
    case amount, period, window, warnings
    case afterPosition = "after_position"
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    let kind = try members.decode(BudgetWindow.Kind.self, forKey: .window)
    let period = try members.decode(BudgetPeriod.self, forKey: .period)
    terms = try BudgetTerms(
      amount: members.decode(CreditsText.self, forKey: .amount).amount,
      window: BudgetWindow(kind, period),
      warnings: members.decodeIfPresent([Int].self, forKey: .warnings) ?? [])
    afterPosition = try members.decode(Int64.self, forKey: .afterPosition)
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(CreditsText(terms.amount), forKey: .amount)
    try members.encode(terms.window.period, forKey: .period)
    try members.encode(terms.window.kind, forKey: .window)
    try members.encode(terms.warnings, forKey: .warnings)
    try members.encode(afterPosition, forKey: .afterPosition)
  }
}

extension OrganisationRecord: Codable {
  enum CodingKeys: String, CodingKey {
    case id, name, budgets
    case isPrepaid = "prepaid"
  }
}

extension TeamRecord: Codable {
  enum CodingKeys: String, CodingKey {
    case name, budgets
    case account = "id"
  }
}

extension KeyBudgetsRecord: Codable {}

extension PriceRow {
  /// A row of the price book in JSON: `model`, `host`, `effective_from_ms`, and prices in credits
  /// per million tokens.
  public struct Text: Codable, Hashable, Sendable {
    public let row: PriceRow
    /// Whether the row is withdrawn. The member is absent if it is not.
    public let isWithdrawn: Bool

    public init(_ row: PriceRow, isWithdrawn: Bool = false) {
      self.row = row
      self.isWithdrawn = isWithdrawn
    }

    enum CodingKeys: String, CodingKey {
      case model, host, input, output
      case isWithdrawn = "withdrawn"
      case effectiveFrom = "effective_from_ms"
      case cachedInput = "cached_input"
    }

    public init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      isWithdrawn = try members.decodeIfPresent(Bool.self, forKey: .isWithdrawn) ?? false
      row = PriceRow(
        model: try members.decode(ModelID.self, forKey: .model),
        host: try members.decodeIfPresent(HostID.self, forKey: .host),
        effectiveFrom: try members.decode(Int64.self, forKey: .effectiveFrom),
        price: try TokenPrice(
          input: members.decode(CreditsText.self, forKey: .input).amount,
          cachedInput: members.decode(CreditsText.self, forKey: .cachedInput).amount,
          output: members.decode(CreditsText.self, forKey: .output).amount))
    }

    public func encode(to encoder: any Encoder) throws {
      var members = encoder.container(keyedBy: CodingKeys.self)
      try members.encode(row.model, forKey: .model)
      try members.encodeIfPresent(row.host, forKey: .host)
      try members.encode(row.effectiveFrom, forKey: .effectiveFrom)
      try members.encode(CreditsText(row.price.input), forKey: .input)
      try members.encode(CreditsText(row.price.cachedInput), forKey: .cachedInput)
      try members.encode(CreditsText(row.price.output), forKey: .output)
      if isWithdrawn { try members.encode(true, forKey: .isWithdrawn) }
    }
  }
}

extension PayoutRule {
  /// A payout rule in JSON, with fees in credits.
  public struct Text: Codable, Hashable, Sendable {
    public let rule: PayoutRule

    public init(_ rule: PayoutRule) { self.rule = rule }

    enum CodingKeys: String, CodingKey {
      case reservationFee = "reservation_fee"
      case progressFee = "progress_fee_per_million"
      case perMilleOfWinner = "per_mille_of_winner"
    }

    public init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      rule = try PayoutRule(
        reservationFee: members.decode(CreditsText.self, forKey: .reservationFee).amount,
        progressFee: members.decode(CreditsText.self, forKey: .progressFee).amount,
        perMilleOfWinner: members.decode(Int.self, forKey: .perMilleOfWinner))
    }

    public func encode(to encoder: any Encoder) throws {
      var members = encoder.container(keyedBy: CodingKeys.self)
      try members.encode(CreditsText(rule.reservationFee), forKey: .reservationFee)
      try members.encode(CreditsText(rule.progressFee), forKey: .progressFee)
      try members.encode(rule.perMilleOfWinner, forKey: .perMilleOfWinner)
    }
  }
}
