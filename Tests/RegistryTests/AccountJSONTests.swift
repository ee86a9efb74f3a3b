import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Money
import RegistryCore
import Store
import Testing

@testable import RegistryService

@Suite("JSON of accounts in the admin API")
struct AccountJSONTests {
  private func failure<Fields: RequestFields>(_: Fields.Type, _ json: String) -> Failure? {
    do {
      _ = try JSONDecoder().decode(Fields.self, from: Data(json.utf8))
      return nil
    } catch let error as DecodingError {
      return AdminFailure(error).failure
    } catch {
      Issue.record("\(error)")
      return nil
    }
  }

  @Test(
    "an amount that is negative, too large, too fine or no string is refused by its name",
    arguments: [
      #""-1""#, #""0.0000001""#, #""9223372036854.775808""#, #""1e3""#, #"" 1""#, #""""#, "1",
      "null",
      #""NaN""#,
    ])
  func amounts(amount: String) {
    let refused = failure(
      TransferFields.self, #"{"kind":"credit","organisation":"acme","amount":\#(amount)}"#)
    #expect(refused?.code == .invalidRequest)
    #expect(refused?.param == "amount" || refused?.message.contains("amount") == true)
  }

  @Test("a refused order has its status, its member, and the time to wait before a retry")
  func refusals() {
    let overloaded = Failure(.overloaded, "full", retryAfter: .seconds(3))
    let cases: [(AccountShell.OrderError, Int, String?, wait: String?)] = [
      (.failed(overloaded), 503, nil, "3"),
      (.failed(.notStored(Failure(.storeFull, "no room"))), 503, nil, "60"),
      (.refused(.stale), 503, nil, "1"),
      (.refused(.repeatedID("t")), 409, "id", nil),
      (.refused(.insufficient(.margin, balance: .zero)), 409, "amount", nil),
      (.refused(.invalidAmount), 400, nil, nil),
      (.conflict(RecordRevision(2)), 412, nil, nil),
      (.conflict(nil), 404, nil, nil),
    ]
    for (error, status, param, wait) in cases {
      let failure = AdminFailure(error, isNew: false)
      #expect(failure.response.status.code == status, "\(error)")
      #expect(failure.response.headers[.retryAfter] == wait, "\(error)")
      #expect(failure.failure.param == param, "\(error)")
    }
    #expect(AdminFailure(.conflict(nil), isNew: true).response.status == .conflict)
  }

  @Test("budgets belong to an id that a key can have, with or without its prefix")
  func keyIDs() {
    #expect(AccountAPI.keyID("abcdefgh2345") == "abcdefgh2345")
    #expect(AccountAPI.keyID("tutti-abcdefgh2345") == "abcdefgh2345")
    for text in ["laptop", "", "tutti-", "abcdefgh2345-secret", "ABCDEFGH2345"] {
      #expect(AccountAPI.keyID(text) == nil, "\(text)")
    }
  }

  @Test("an amount is exact")
  func exact() throws {
    let fields = try JSONDecoder().decode(
      TransferFields.self,
      from: Data(#"{"kind":"credit","organisation":"acme","amount":"12.50"}"#.utf8))
    #expect(fields.kind == .credit(MicroCredits(12_500_000), organisation: "acme"))
    let correction = try JSONDecoder().decode(
      TransferFields.self,
      from: Data(
        #"{"kind":"correction","entries":[{"account":"margin","amount":"-0.000001"}]}"#.utf8))
    #expect(
      correction.kind
        == .correction([LedgerEntry(account: .margin, amount: MicroCredits(-1))]))
  }

  @Test("an unknown member is refused by its path, also within a budget")
  func unknownMembers() {
    #expect(failure(TariffFields.self, #"{"price":"free"}"#)?.param == "price")
    #expect(
      failure(
        OrganisationFields.self,
        #"{"id":"acme","budgets":[{"amount":"1","period":"day","kind":"x"}]}"#)?.param
        == "budgets.0.kind")
  }

  @Test("values out of range are refused with a sentence")
  func ranges() {
    let budget = failure(
      OrganisationFields.self, #"{"budgets":[{"amount":"1","period":"day","warnings":[1001]}]}"#)
    #expect(budget?.message.contains("thousandths") == true)
    let rule = failure(
      TariffFields.self,
      #"{"payout_rule":{"reservation_fee":"0","progress_fee_per_million":"0","per_mille_of_winner":300}}"#
    )
    #expect(rule?.message.contains("100 to 200") == true)
    #expect(
      failure(PriceFields.self, #"{"model":"m","input":"1000000001","output":"1"}"#)?.message
        .contains("at most") == true)
  }

  @Test("fractions and numbers that are too large are reported with their member")
  func wholeNumbers() {
    for number in ["1.5", "9223372036854775808"] {
      let price = failure(
        PriceFields.self,
        #"{"model":"m","input":"1","output":"1","effective_from_ms":\#(number)}"#)
      #expect(price?.param == "effective_from_ms", "\(number)")
      #expect(price?.message.contains("whole numbers") == true, "\(number)")
    }
    let budget = failure(
      OrganisationFields.self, #"{"budgets":[{"amount":"1","period":"day","warnings":[1.5]}]}"#)
    #expect(budget?.param == "budgets.0.warnings")
  }

  @Test("every route with a body describes that bodies can be too large")
  func bodies() throws {
    let document = try #require(
      JSONSerialization.jsonObject(with: Data(adminOpenAPI.utf8)) as? [String: Any])
    let paths = try #require(document["paths"] as? [String: [String: Any]])
    var count = 0
    for (path, methods) in paths {
      for case (let method, let operation as [String: Any]) in methods
      where operation["requestBody"] != nil {
        count += 1
        let responses = operation["responses"] as? [String: Any]
        #expect(responses?["413"] != nil, "\(method) \(path)")
      }
    }
    #expect(count > 10)
  }

  @Test("the audit log is described with settings that are a string")
  func auditedSettings() throws {
    let document = try #require(
      JSONSerialization.jsonObject(with: Data(adminOpenAPI.utf8)) as? [String: Any])
    let components = document["components"] as? [String: [String: Any]]
    let record = components?["schemas"]?["AuditRecord"] as? [String: Any]
    let properties = try #require(record?["properties"] as? [String: [String: Any]])
    for member in ["before", "after"] {
      #expect((properties[member]?["type"] as? [String])?.contains("string") == true, "\(member)")
    }
  }

  @Test("the description of the admin API is JSON, and has every route of accounts")
  func description() throws {
    let document = try #require(
      JSONSerialization.jsonObject(with: Data(adminOpenAPI.utf8)) as? [String: Any])
    let paths = try #require(document["paths"] as? [String: Any])
    for path in [
      "/admin/v1/organisations", "/admin/v1/teams", "/admin/v1/prices", "/admin/v1/tariff",
      "/admin/v1/transfers", "/admin/v1/ledger", "/admin/v1/ledger/export",
      "/admin/v1/ledger/verify",
    ] {
      #expect(paths[path] != nil, "\(path)")
    }
    let components = try #require(document["components"] as? [String: Any])
    let schemas = try #require(components["schemas"] as? [String: Any])
    let text = adminOpenAPI
    for match in text.matches(of: /components\/schemas\/([A-Za-z]+)"/) {
      #expect(schemas[String(match.1)] != nil, "\(match.1)")
    }
  }
}
