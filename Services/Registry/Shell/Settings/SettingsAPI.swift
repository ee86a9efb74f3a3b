import ClusterModel
import HTTPTypes
import Hummingbird
import Limits
import ServiceKit
import Text

/// Routes of `/admin/v1/settings`. OpenAPI+Settings.swift describes them.
struct SettingsAPI: Sendable {
  let settings: SettingsKeeper
  let gate: AdminGate

  func addRoutes(to router: Router<BasicRequestContext>) {
    gate.route(router, .get, "/admin/v1/settings") { _ in Self.response(settings.version) }
    gate.route(router, .patch, "/admin/v1/settings") { request in
      let expected = request.expectedRevisions
      let patch = try SettingsPatch(try await JSONFields(request.http))
      return Self.response(
        try await settings.change(patch, expected: expected, by: request.author))
    }
  }

  private static func response(_ version: SettingsKeeper.Version) -> Response {
    let settings = RuntimeSetting.allCases.map { $0.json(version.overrides[$0]) }
    let list: JSON = ["object": "list", "data": .array(settings), "has_more": .boolean(false)]
    var response = body(list.encoded, .ok)
    response.headers[.eTag] = "\"\(version.revision)\""
    return response
  }
}

extension SettingsPatch {
  /// Reads new values by the ids of their settings. `null` removes an override.
  /// - Throws: `AdminFailure` with the name of a wrong member.
  init(_ fields: JSONFields) throws {
    self.init()
    try fields.allow(Set(RuntimeSetting.allCases.map(\.id)))
    for setting in RuntimeSetting.allCases {
      guard let member = fields[setting.id] else { continue }
      let value: RuntimeValue
      switch member {
      case .null:
        updateValue(nil, forKey: setting)
        continue
      case .integer(let number): value = .integer(number)
      case .text(let text): value = .choice(text)
      case .flag, .texts, .object, .other:
        throw fields.wrong(setting.id, "\(setting.range), or null")
      }
      guard setting.allows(value) else {
        throw fields.wrong(setting.id, "\(setting.range), or null")
      }
      updateValue(value, forKey: setting)
    }
  }
}

extension RuntimeSetting {
  fileprivate func json(_ override: RuntimeValue?) -> JSON {
    [
      "object": "setting", "id": .string(id), "value": override?.member ?? .null,
      "default": standard.member, "source": override == nil ? "configuration" : "runtime",
      "description": .string(help), "range": range.member,
    ]
  }
}

extension RuntimeValue {
  fileprivate var member: JSON {
    switch self {
    case .integer(let number): .integer(number)
    case .choice(let choice): .string(choice)
    }
  }
}

extension RuntimeSetting.Range {
  fileprivate var member: JSON {
    switch self {
    case .integer(let range):
      ["minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)]
    case .name: ["maximum_bytes": .integer(Limits.modelNameBytes.value)]
    case .choice(let choices): ["values": .array(choices.map { .string($0) })]
    }
  }
}
