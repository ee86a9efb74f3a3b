import Access
import ClusterModel
import Foundation
import Hummingbird
import Limits
import Money
import RegistryCore

// JSON of accounts and money in the admin API. Amounts are decimal strings of credits. Times are
// milliseconds since 1970, in members with the suffix `_ms`.

/// A request body with a fixed set of members.
protocol RequestFields: Decodable {
  associatedtype Member: CodingKey, CaseIterable
}

extension RequestFields {
  /// Returns the object's members. Throws if the object has members that `Member` lacks.
  static func members(_ decoder: any Decoder) throws -> KeyedDecodingContainer<Member> {
    let known = Member.allCases.map(\.stringValue)
    for key in try decoder.container(keyedBy: AnyMember.self).allKeys
    where !known.contains(key.stringValue) {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: decoder.codingPath + [key],
          debugDescription: "is not a known member; known members: "
            + known.sorted().joined(separator: ", ")))
    }
    return try decoder.container(keyedBy: Member.self)
  }
}

extension KeyedDecodingContainer {
  /// Decodes whole numbers. The error for any other number names the member.
  fileprivate func wholeNumbers<Numbers: Decodable>(
    _ type: Numbers.Type, forKey key: Key
  ) throws -> Numbers? {
    do {
      return try decodeIfPresent(type, forKey: key)
    } catch {
      // JSONDecoder reports fractions and numbers of more than 64 bits as invalid JSON.
      throw DecodingError.dataCorruptedError(
        forKey: key, in: self, debugDescription: "must have whole numbers of at most 64 bits")
    }
  }
}

private struct AnyMember: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

struct BudgetFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case amount, period, window, warnings
  }

  let terms: BudgetTerms

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    let period = try members.decode(BudgetPeriod.self, forKey: .period)
    let kind = try members.decodeIfPresent(BudgetWindow.Kind.self, forKey: .window) ?? .calendar
    let warnings = try members.wholeNumbers([Int].self, forKey: .warnings) ?? []
    let amount = try members.decode(CreditsText.self, forKey: .amount).amount
    do throws(MoneyError) {
      terms = try BudgetTerms(
        amount: amount, window: BudgetWindow(kind, period), warnings: warnings)
    } catch {
      throw DecodingError.dataCorruptedError(
        forKey: .warnings, in: members,
        debugDescription: "has at most \(Limits.budgetWarnings.value) thresholds of 1 to 1000 "
          + "thousandths")
    }
  }
}

struct OrganisationFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case id, name, budgets
    case isPrepaid = "prepaid"
  }

  let id: String?
  let name: String?
  let isPrepaid: Bool?
  let budgets: [BudgetTerms]?

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    id = try members.decodeIfPresent(String.self, forKey: .id)
    name = try members.decodeIfPresent(String.self, forKey: .name)
    isPrepaid = try members.decodeIfPresent(Bool.self, forKey: .isPrepaid)
    budgets = try members.decodeIfPresent([BudgetFields].self, forKey: .budgets)?.map(\.terms)
  }
}

struct TeamFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case id, name, budgets
  }

  /// The team and its organisation, `ORGANISATION/TEAM`.
  let id: AccountPath?
  let name: String?
  let budgets: [BudgetTerms]?

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    id = try members.decodeIfPresent(AccountPath.self, forKey: .id)
    name = try members.decodeIfPresent(String.self, forKey: .name)
    budgets = try members.decodeIfPresent([BudgetFields].self, forKey: .budgets)?.map(\.terms)
  }
}

struct KeyBudgetFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case budgets
  }

  let budgets: [BudgetTerms]

  init(from decoder: any Decoder) throws {
    budgets = try Self.members(decoder).decode([BudgetFields].self, forKey: .budgets)
      .map(\.terms)
  }
}

struct PriceFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case model, host, input, output
    case cachedInput = "cached_input"
    case effectiveFrom = "effective_from_ms"
  }

  let model: ModelID
  let host: HostID?
  /// Time from which the price applies. `nil` means a second from now.
  let effectiveFrom: Int64?
  let price: TokenPrice

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    model = ModelID(try members.decode(String.self, forKey: .model))
    host = try members.decodeIfPresent(String.self, forKey: .host).map { HostID($0) }
    effectiveFrom = try members.wholeNumbers(Int64.self, forKey: .effectiveFrom)
    let input = try members.decode(CreditsText.self, forKey: .input).amount
    // Without a price of their own, cached tokens cost as much as other input tokens.
    let cached =
      try members.decodeIfPresent(CreditsText.self, forKey: .cachedInput)?.amount ?? input
    let output = try members.decode(CreditsText.self, forKey: .output).amount
    do throws(MoneyError) {
      price = try TokenPrice(input: input, cachedInput: cached, output: output)
    } catch {
      throw DecodingError.dataCorruptedError(
        forKey: .input, in: members,
        debugDescription: "a price is at most \(TokenPrice.highest.credits)")
    }
  }
}

struct TariffFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case unknownPrice = "unknown_price"
    case payoutRule = "payout_rule"
  }

  let unknownPrice: UnknownPrice?
  let payoutRule: PayoutRule?

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    unknownPrice = try members.decodeIfPresent(UnknownPrice.self, forKey: .unknownPrice)
    do {
      payoutRule = try members.decodeIfPresent(PayoutRule.Text.self, forKey: .payoutRule)?.rule
    } catch is MoneyError {
      throw DecodingError.dataCorruptedError(
        forKey: .payoutRule, in: members,
        debugDescription: "per_mille_of_winner is 100 to 200, and a fee is at most "
          + TokenPrice.highest.credits)
    }
  }
}

struct TransferFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case id, kind, amount, organisation, host, entries, note
  }

  enum Kind: String, Codable, CaseIterable {
    case credit, debit, payout, correction
  }

  /// Id that the client chose. `nil` means that the registry makes a random one.
  let id: String?
  let kind: AdminTransfer.Kind
  let note: String

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    id = try members.decodeIfPresent(String.self, forKey: .id)
    note = try members.decodeIfPresent(String.self, forKey: .note) ?? ""
    func amount() throws -> MicroCredits {
      try members.decode(CreditsText.self, forKey: .amount).amount
    }
    switch try members.decode(Kind.self, forKey: .kind) {
    case .credit:
      kind = .credit(
        try amount(), organisation: try members.decode(String.self, forKey: .organisation))
    case .debit:
      kind = .debit(
        try amount(), organisation: try members.decode(String.self, forKey: .organisation))
    case .payout:
      kind = .payout(
        try amount(), host: HostID(try members.decode(String.self, forKey: .host)))
    case .correction:
      kind = .correction(
        try members.decode([EntryFields].self, forKey: .entries).map(\.entry))
    }
  }
}

/// An entry of a correction. Its amount may have a minus sign.
struct EntryFields: RequestFields {
  enum Member: String, CodingKey, CaseIterable {
    case account, amount
  }

  let entry: LedgerEntry

  init(from decoder: any Decoder) throws {
    let members = try Self.members(decoder)
    let text = try members.decode(String.self, forKey: .amount)
    do {
      let isNegative = text.utf8.first == UInt8(ascii: "-")
      let amount = try MicroCredits(credits: isNegative ? text.dropFirst() : text[...])
      entry = LedgerEntry(
        account: AccountID(try members.decode(String.self, forKey: .account)),
        amount: isNegative ? try amount.negated() : amount)
    } catch let error as AmountTextError {
      throw DecodingError.dataCorruptedError(
        forKey: .amount, in: members, debugDescription: "\(error)")
    }
  }
}

// MARK: - Answers

/// A budget with its spending.
struct BudgetJSON: Encodable {
  let amount: CreditsText
  let period: BudgetPeriod
  let window: BudgetWindow.Kind
  let warnings: [Int]
  let spent: CreditsText

  init(_ budget: BudgetRecord, of owner: BudgetOwner, in book: AccountBook, at time: Int64) {
    amount = CreditsText(budget.terms.amount)
    period = budget.terms.window.period
    window = budget.terms.window.kind
    warnings = budget.terms.warnings
    spent = CreditsText(book.spent(budget.terms.window, of: owner, at: time) ?? .zero)
  }
}

struct OrganisationJSON: Encodable {
  let object = "organisation"
  let id: String
  let name: String
  let isPrepaid: Bool
  let budgets: [BudgetJSON]
  /// Credits that are neither spent nor held by gateways.
  let balance: CreditsText
  let held: CreditsText

  init(_ record: OrganisationRecord, in book: AccountBook, at time: Int64) {
    id = record.id
    name = record.name
    isPrepaid = record.isPrepaid
    budgets = record.budgets.map {
      BudgetJSON($0, of: .organisation(record.id), in: book, at: time)
    }
    balance = CreditsText(book.balance(of: .organisation(record.id)))
    held = CreditsText(book.balance(of: .holds(of: record.id)))
  }

  enum CodingKeys: String, CodingKey {
    case object, id, name, budgets, balance, held
    case isPrepaid = "prepaid"
  }
}

struct TeamJSON: Encodable {
  let object = "team"
  let id: AccountPath
  let name: String
  let budgets: [BudgetJSON]

  init(_ record: TeamRecord, in book: AccountBook, at time: Int64) {
    id = record.account
    name = record.name
    budgets = record.budgets.map {
      BudgetJSON($0, of: .team(record.account), in: book, at: time)
    }
  }
}

struct KeyBudgetsJSON: Encodable {
  let object = "key_budgets"
  let key: String
  let budgets: [BudgetJSON]

  init(_ key: String, in book: AccountBook, at time: Int64) {
    self.key = key
    budgets = (book.keyBudgets(key)?.budgets ?? []).map {
      BudgetJSON($0, of: .key(key), in: book, at: time)
    }
  }
}

struct TariffJSON: Encodable {
  let object = "tariff"
  let unknownPrice: UnknownPrice
  let payoutRule: PayoutRule.Text

  init(_ book: AccountBook) {
    unknownPrice = book.unknownPrice
    payoutRule = PayoutRule.Text(book.payoutRule)
  }

  enum CodingKeys: String, CodingKey {
    case object
    case unknownPrice = "unknown_price"
    case payoutRule = "payout_rule"
  }
}
