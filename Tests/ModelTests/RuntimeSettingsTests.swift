import ClusterModel
import Testing

@Suite("Settings that change at run time")
struct RuntimeSettingsTests {
  private static func table(
    _ epoch: UInt64, _ revision: UInt64, requests: Int? = nil
  ) -> RuntimeSettingsTable {
    var overrides = RuntimeOverrides()
    overrides.set(.gatewayRequests, to: requests.map { .integer($0) })
    return RuntimeSettingsTable(epoch: epoch, revision: revision, overrides: overrides)
  }

  @Test("each setting allows its own default", arguments: RuntimeSetting.allCases)
  func standard(setting: RuntimeSetting) {
    #expect(setting.allows(setting.standard))
    #expect(setting.value("\(setting.standard)") == setting.standard)
    #expect(setting.help.hasSuffix("."))
  }

  @Test(
    "values out of range and of the wrong type are not allowed",
    arguments: [
      ("gateway.max_requests", "0"), ("gateway.max_requests", "100001"),
      ("gateway.max_requests", "1.5"), ("gateway.max_requests", ""),
      ("gateway.max_requests", "99999999999999999999"), ("inference.race", "triple"),
      ("inference.race", "Dual"), ("inference.race_width", "9"), ("access.revoked_streams", "1"),
      ("gateway.fast_model", ""), ("gateway.fast_model", "a\nb"),
      ("gateway.fast_model", String(repeating: "m", count: 257)),
    ])
  func refused(id: String, text: String) throws {
    let setting = try #require(RuntimeSetting(rawValue: id))
    #expect(setting.value(text) == nil)
    #expect(RuntimeOverrides(texts: [(id: id, value: text)]).isEmpty)
  }

  @Test("a value of another type changes no override")
  func wrongType() {
    var overrides = RuntimeOverrides()
    overrides.set(.inferenceRace, to: .integer(1))
    overrides.set(.gatewayRequests, to: .choice("dual"))
    #expect(overrides.isEmpty)
  }

  @Test("overrides have the same texts both ways; unknown settings are left out")
  func texts() {
    let overrides = RuntimeOverrides(texts: [
      (id: "inference.race", value: "hedged"), (id: "later.setting", value: "1"),
      (id: "gateway.max_requests", value: "1024"),
    ])
    #expect(overrides.integer(.gatewayRequests) == 1_024)
    #expect(overrides.choice(.inferenceRace, as: RaceDefault.self) == .hedged)
    #expect(overrides.integer(.inferenceRace) == nil)
    #expect(overrides.texts.map(\.id) == ["gateway.max_requests", "inference.race"])
    #expect(RuntimeOverrides(texts: overrides.texts) == overrides)
    let names = RuntimeOverrides(texts: [(id: "gateway.fast_model", value: #"org/"best" é"#)])
    #expect(names.name(.gatewayFastModel) == #"org/"best" é"#)
    #expect(RuntimeOverrides(texts: names.texts) == names)
  }

  @Test("an override that is removed leaves the decision to the configuration")
  func removed() {
    var overrides = RuntimeOverrides()
    overrides.set(.gatewayRequests, to: .integer(7))
    overrides.set(.gatewayRequests, to: nil)
    #expect(overrides == .none)
  }

  @Test("only a newer table replaces the current one")
  func newer() {
    var feed = RuntimeSettingsFeed()
    #expect(feed.overrides == .none)
    #expect(feed.published(Self.table(2, 5, requests: 1)) == .replaced)
    #expect(feed.published(Self.table(2, 5, requests: 1)) == .unchanged)
    #expect(feed.published(Self.table(2, 4)) == .unchanged)
    #expect(feed.overrides.integer(.gatewayRequests) == 1)
    // Revisions of a restarted registry may be lower.
    #expect(feed.published(Self.table(3, 0)) == .replaced)
    #expect(feed.overrides == .none)
  }

  @Test("a table of an earlier registry raises a question, and the answer replaces the table")
  func earlierEpoch() {
    var feed = RuntimeSettingsFeed()
    _ = feed.published(Self.table(9, 1, requests: 1))
    #expect(feed.published(Self.table(8, 2, requests: 2)) == .ask)
    #expect(feed.overrides.integer(.gatewayRequests) == 1)
    #expect(feed.answered(Self.table(8, 2, requests: 2)) == .replaced)
    #expect(feed.overrides.integer(.gatewayRequests) == 2)
    #expect(feed.answered(Self.table(8, 1)) == .unchanged)
    #expect(feed.answered(Self.table(8, 2, requests: 2)) == .unchanged)
  }
}
