import Access
import ClusterModel
import Foundation
import Money
import RegistryCore
import Store

// Records of accounts as JSON in the store.

extension AccountRecord {
  static let payoutRuleName = "money.payout_rule"
  static let unknownPriceName = "money.unknown_price"
  private static let keyBudgetsPrefix = "money.key_budgets/"

  /// The stored record's name. `nil` means a row of the price book, which has none.
  var subject: RecordSubject? {
    switch self {
    case .organisation(let organisation): .organisation(organisation.id)
    case .team(let team):
      .team(team.account.team ?? "", organisation: team.account.organisation)
    case .keyBudgets(let budgets): .setting(Self.keyBudgetsPrefix + budgets.key)
    case .price, .withdrawnPrice: nil
    case .payoutRule: .setting(Self.payoutRuleName)
    case .unknownPrice: .setting(Self.unknownPriceName)
    case .removedAccount(let account): .account(account)
    }
  }

  func change(_ expected: ExpectedRevision) throws(Failure) -> RecordChange {
    switch self {
    case .organisation(let organisation):
      .saveOrganisation(organisation.id, json: try Self.encode(organisation), expected)
    case .team(let team):
      .saveTeam(
        team.account.team ?? "", organisation: team.account.organisation,
        json: try Self.encode(team), expected)
    case .keyBudgets(let budgets):
      .saveSetting(
        Self.keyBudgetsPrefix + budgets.key, json: try Self.encode(budgets), expected)
    case .price(let row): .appendPrice(json: try Self.encode(PriceRow.Text(row)))
    case .withdrawnPrice(let row):
      .appendPrice(json: try Self.encode(PriceRow.Text(row, isWithdrawn: true)))
    case .payoutRule(let rule):
      .saveSetting(
        Self.payoutRuleName, json: try Self.encode(PayoutRule.Text(rule)), expected)
    case .unknownPrice(let policy):
      .saveSetting(Self.unknownPriceName, json: try Self.encode(policy), expected)
    case .removedAccount(let account): .remove(.account(account), expected)
    }
  }

  /// - Returns: `nil` for a record that is not about accounts or money.
  init?(_ stored: StoredRecord) throws(Failure) {
    let json = stored.json
    switch stored.subject {
    case .organisation: self = .organisation(try Self.decode(json))
    case .team: self = .team(try Self.decode(json))
    case .setting(Self.payoutRuleName):
      self = .payoutRule(try Self.decode(json, PayoutRule.Text.self).rule)
    case .setting(Self.unknownPriceName): self = .unknownPrice(try Self.decode(json))
    case .setting(let name) where name.hasPrefix(Self.keyBudgetsPrefix):
      self = .keyBudgets(try Self.decode(json))
    case .setting, .key, .model: return nil
    }
  }

  init(_ stored: StoredPrice) throws(Failure) {
    let text = try Self.decode(stored.json, PriceRow.Text.self)
    self = text.isWithdrawn ? .withdrawnPrice(text.row) : .price(text.row)
  }

  private static func encode(_ value: some Encodable) throws(Failure) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
      throw Failure(.internalError, "A record could not be written as JSON: \(error)")
    }
  }

  private static func decode<Value: Decodable>(
    _ json: String, _: Value.Type = Value.self
  ) throws(Failure) -> Value {
    do {
      return try JSONDecoder().decode(Value.self, from: Data(json.utf8))
    } catch {
      throw Failure(
        .storeDamaged,
        "A record of an account cannot be read: \(json.cut(toBytes: 200)); restore the file from "
          + "a copy.")
    }
  }
}

extension RecordSubject {
  /// The record of an organisation or a team.
  static func account(_ account: AccountPath) -> RecordSubject {
    guard let team = account.team else { return .organisation(account.organisation) }
    return .team(team, organisation: account.organisation)
  }
}
