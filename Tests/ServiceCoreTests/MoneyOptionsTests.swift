import Access
import ClusterModel
import Foundation
import Testing

@testable import CommandLineCore

/// The message of the failure of `body`; `nil` if it does not fail.
private func mistake(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return (error as? ProcessFailure)?.message ?? "\(error)"
  }
}

@Suite("Options of commands on money")
struct MoneyOptionsTests {
  private func text(_ value: RecordValue) -> String {
    String(decoding: value.encoded, as: UTF8.self)
  }

  private func budgets(_ json: String) throws -> [BudgetRow] {
    try JSONDecoder().decode([BudgetRow].self, from: Data(json.utf8))
  }

  @Test("a budget replaces the one of its period and window, and others stay")
  func budget() throws {
    let present = try budgets(
      #"[{"amount":"5","period":"month","window":"calendar","warnings":[800],"spent":"1"},"#
        + #"{"amount":"1","period":"day","window":"rolling","warnings":[],"spent":"0"}]"#)
    var options = BudgetOptions()
    options.period = "month"
    let day = #"{"amount":"1","period":"day","warnings":[],"window":"rolling"}"#
    #expect(
      text(try options.setting("10.50", in: present))
        == #"[\#(day),{"amount":"10.5","period":"month","warnings":[800],"window":"calendar"}]"#)
    options.warnings = ["99.5%", "5%"]
    #expect(text(try options.setting("1", in: [])).contains("[995,50]"))
    options.warnings = nil
    #expect(text(try options.clearing(present)) == "[\(day)]")
    #expect(text(try BudgetOptions().clearing(present)) == "[]")
    #expect(mistake { _ = try BudgetOptions().clearing([]) }?.contains("no such budget") == true)
  }

  @Test("all mistakes of a budget are reported at once")
  func budgetMistakes() throws {
    var options = BudgetOptions()
    options.window = "rollin"
    options.warnings = ["80", "0%", "101%", "1.25%"]
    let lines = try #require(mistake { _ = try options.setting("-1", in: []) })
      .split(separator: "\n")
    #expect(lines.count == 7, "\(lines)")
    #expect(lines.contains { $0.contains("--period is missing") })
    #expect(lines.contains { $0.contains("did you mean rolling") })
  }

  @Test("an owner of budgets is an account or a key, and a whole key is not repeated")
  func owner() throws {
    #expect(try BudgetOwnerName("acme").path == "/admin/v1/organisations/acme")
    #expect(try BudgetOwnerName("acme/web").path == "/admin/v1/organisations/acme/teams/web")
    #expect(try BudgetOwnerName("tutti-abcdefgh2345").path == "/admin/v1/key-budgets/abcdefgh2345")
    #expect(try BudgetOwnerName("abcdefghijkl").path == nil)
    let key = "tutti-abcdefgh2345-" + String(repeating: "s", count: 42) + "A"
    #expect(mistake { _ = try BudgetOwnerName(key) }?.contains("sss") == false)
    for text in ["", "Acme", "a/b/c", "a/"] {
      #expect(mistake { _ = try BudgetOwnerName(text) } != nil, "\(text)")
    }
  }

  @Test("a price has exact amounts, and all mistakes are reported at once")
  func price() throws {
    var options = PriceOptions(model: "org/m", input: "0.150", output: "2")
    options.from = "2027-01-31"
    #expect(
      text(try options.body())
        == #"{"effective_from_ms":1801353600000,"input":"0.15","model":"org/m","output":"2"}"#)
    options = PriceOptions(model: "m", input: "1e3", output: "-1")
    options.cachedInput = "0.0000001"
    options.from = "now"
    #expect(
      mistake { _ = try options.body() }?.split(separator: "\n").count == 4)
  }

  @Test("a changed payout rule keeps its other members")
  func tariff() throws {
    let json =
      #"{"reservation_fee":"0","progress_fee_per_million":"0.1","per_mille_of_winner":150}"#
    let rule = try JSONDecoder().decode(TariffRow.Rule.self, from: Data(json.utf8))
    var options = TariffOptions()
    options.perMilleOfWinner = 120
    #expect(
      text(try options.body(present: rule))
        == #"{"payout_rule":{"per_mille_of_winner":120,"progress_fee_per_million":"0.1","#
        + #""reservation_fee":"0"}}"#)
    options.perMilleOfWinner = 99
    #expect(mistake { _ = try options.body(present: rule) }?.contains("100") == true)
    #expect(mistake { _ = try TariffOptions().body(present: rule) } != nil)
  }

  @Test("a transfer names the other side and its id")
  func transfer() throws {
    #expect(
      text(try TransferOptions(.payout(host: "gpu-1"), amount: "1.50", id: "x", note: nil).body())
        == #"{"amount":"1.5","host":"gpu-1","id":"x","kind":"payout"}"#)
    #expect(
      text(
        try TransferOptions(.debit(organisation: "acme"), amount: "1", id: "x", note: "n").body())
        == #"{"amount":"1","id":"x","kind":"debit","note":"n","organisation":"acme"}"#)
    for (party, amount, id) in [("acme", "0", "x"), ("Acme", "1", "x"), ("acme", "1", "a b")] {
      #expect(
        mistake {
          _ = try TransferOptions(
            .credit(organisation: party), amount: amount, id: id, note: nil
          ).body()
        } != nil)
    }
  }

  @Test("a correction moves an amount between two accounts of the ledger")
  func correction() throws {
    func options(_ source: String, _ target: String, _ amount: String = "2.50") -> TransferOptions {
      TransferOptions(.correction(from: source, to: target), amount: amount, id: "x", note: "n")
    }
    #expect(
      text(try options("host/gpu-1", "org/acme").body())
        == #"{"entries":[{"account":"host/gpu-1","amount":"-2.5"},"#
        + #"{"account":"org/acme","amount":"2.5"}],"id":"x","kind":"correction","note":"n"}"#)
    #expect(options("margin", "paid").summary == "correction of 2.50 credits: from margin to paid")
    for (source, target, amount, advice) in [
      ("acme", "margin", "1", "did you mean org/acme?"), ("margin", "acme", "1", "org/acme"),
      ("margin", "margin", "1", "same"), ("margin", "paid", "-1", "amount"),
      ("margin", "paid", "0", "above zero"),
    ] {
      let shown = mistake { _ = try options(source, target, amount).body() }
      #expect(shown?.contains(advice) == true, "\(source) \(target) \(amount)")
    }
  }

  @Test("a key of an account without a record has only the budgets that exist")
  func missingAccount() throws {
    func missing(_ account: String) throws -> String? {
      MissingAccount(
        try #require(AccountPath(account)), organisations: ["acme"], teams: ["acme/web"])?
        .consequence
    }
    for known in ["acme", "acme/web", "default"] { #expect(try missing(known) == nil, "\(known)") }
    #expect(try missing("beta/web")?.contains("no organisation beta, so only a budget") == true)
    #expect(try missing("acme/wep")?.contains("only budgets of acme and of the key") == true)
  }

  @Test("an account that no ledger has is refused with a similar one")
  func ledgerAccount() throws {
    var selection = LedgerSelection()
    selection.account = "org/acme"
    #expect(try selection.query() == "account=org%2Facme")
    for (name, advice) in [
      ("acme", "did you mean org/acme?"), ("acme/web", "choose org/ID"), ("hosts/gpu", "choose"),
      ("", "choose"),
    ] {
      selection.account = name
      #expect(mistake { _ = try selection.query() }?.contains(advice) == true, "\(name)")
    }
  }

  @Test("a withdrawn price is named by model, host and start")
  func priceReference() throws {
    let ofHost = try PriceReference(model: "org/m", host: "gpu 1", from: "2027-01-01")
    #expect(ofHost.query == "model=org%2Fm&host=gpu%201&effective_from_ms=1798761600000")
    let ofClients = try PriceReference(model: "m", host: nil, from: "2027-01-01")
    #expect(ofClients.query == "model=m&effective_from_ms=1798761600000")
    #expect(
      mistake { _ = try PriceReference(model: "m", host: nil, from: "soon") }?.contains("--from")
        == true)
  }

  @Test("transactions are selected by kind, key and trace")
  func ledgerFilters() throws {
    var selection = LedgerSelection()
    selection.kind = "settle"
    selection.key = "tutti-abcdefghij23"
    selection.trace = "00000000000000010000000000000AB2"
    #expect(
      try selection.query()
        == "kind=settle&key=abcdefghij23&trace=00000000000000010000000000000ab2")
    selection.trace = "12"
    #expect(mistake { _ = try selection.query() }?.contains("32 hexadecimal digits") == true)
    selection.trace = nil
    selection.key = "short"
    #expect(mistake { _ = try selection.query() }?.contains("id of a key") == true)
  }

  @Test("lines that arrive in pieces are printed whole, with visible control characters")
  func visibleLines() {
    let text = "a,é\u{1B}[2J\r\nb\u{9B}1m\nend"
    for size in 1...12 {
      var lines = VisibleLines()
      let bytes = Array(text.utf8)
      var shown = ""
      for start in stride(from: 0, to: bytes.count, by: size) {
        shown += lines.visible(Array(bytes[start..<min(start + size, bytes.count)]))
      }
      #expect(shown + lines.end() == "a,é␛[2J\r\nb\\u{9B}1m\nend", "\(size)")
    }
  }

  @Test("names of keys become names of files that no shell mistakes, one for each key")
  func keyFiles() throws {
    #expect(KeyFileName.name(for: "ci") == "ci.key")
    #expect(KeyFileName.name(for: "../etc/passwd") == "_._etc_passwd.key")
    #expect(KeyFileName.name(for: "-rf é") == "_rf___.key")
    #expect(
      mistake { _ = try KeyFileName.names(for: ["a b", "a/b"]) }?.contains("a_b.key") == true)
    // Many file systems do not distinguish upper and lower case.
    #expect(mistake { _ = try KeyFileName.names(for: ["CI", "ci"]) } != nil)
  }
}
