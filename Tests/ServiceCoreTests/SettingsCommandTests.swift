import ClusterModel
import CommandLineCore
import Foundation
import Testing

@Suite("Arguments and tables of `tutti settings`")
struct SettingsCommandTests {
  @Test("a value becomes a number or a text, as its setting needs")
  func body() throws {
    func body(_ name: String, _ text: String?) throws -> String {
      String(decoding: try SettingChange(name: name, text: text).body, as: UTF8.self)
    }
    #expect(try body("gateway.max_requests", "1024") == #"{"gateway.max_requests":1024}"#)
    #expect(try body("inference.race", "hedged") == #"{"inference.race":"hedged"}"#)
    #expect(try body("inference.race", nil) == #"{"inference.race":null}"#)
  }

  @Test(
    "a wrong name or value is refused before a request is sent",
    arguments: [
      ("gateway.max_request", "1", "did you mean gateway.max_requests?"),
      ("nonsense", "1", "tutti settings list"),
      ("gateway.max_requests", "many", "a whole number from 1 to 100000"),
      ("inference.race", "triple", "one of by_price, dual, hedged, single"),
    ])
  func wrong(name: String, text: String, part: String) throws {
    let error = #expect(throws: ProcessFailure.self) { try SettingChange(name: name, text: text) }
    let failure = try #require(error)
    #expect(failure.status == .usage && failure.message.contains(part), "\(failure.message)")
  }

  @Test("the table shows - for a setting that the configuration decides")
  func table() throws {
    let json = """
      [{"id": "inference.race", "value": "dual", "default": "by_price", "description": "Race.",
        "source": "runtime", "range": {"values": ["by_price", "dual"]}},
       {"id": "gateway.max_requests", "value": null, "default": 512, "description": "Most.",
        "source": "configuration", "range": {"minimum": 1, "maximum": 9}}]
      """
    let rows = try JSONDecoder().decode([SettingRow].self, from: Data(json.utf8))
    #expect(
      SettingRow.table(rows).lines == [
        "setting               value  default   range",
        "inference.race        dual   by_price  by_price, dual",
        "gateway.max_requests  -      512       1–9",
      ])
  }

  @Test("one setting is taken from the registry's list as JSON")
  func json() {
    let list = #"{"object":"list","data":[{"id":"a","value":1},{"id":"b","value":"x"}]}"#
    func text(_ id: String, _ list: String) -> String? {
      SettingRow.json(of: id, in: list.utf8).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(text("b", list) == #"{"id":"b","value":"x"}"#)
    #expect(text("c", list) == nil && text("a", "no JSON") == nil)
  }

  @Test("a setting of a newer registry with another kind of value is listed")
  func newer() throws {
    let json = """
      [{"id": "a.b", "value": 0.5, "default": true, "description": "New.", "range": {"type": "x"}}]
      """
    let rows = try JSONDecoder().decode([SettingRow].self, from: Data(json.utf8))
    #expect(SettingRow.table(rows).lines.last == "a.b      0.5    true")
  }
}
