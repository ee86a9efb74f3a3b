import ClusterModel
import Limits

/// Routes of run-time settings.
extension AdminDocument {
  private static let settings = answer("Settings", tag: recordTag, "All settings")

  static let settingPaths = #"""
    "/admin/v1/settings": {
      "get": {
        "summary": "List the settings that can change at run time",
        \#(responses(settings))
      },
      "patch": {
        "summary": "Change settings in all processes without a restart; null removes a value",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body(
          "SettingsChange", example: #"{"inference.race": "hedged", "gateway.max_requests": null}"#)),
        \#(responses(settings, 412))
      }
    },
    """#

  private static func schema(of range: RuntimeSetting.Range) -> String {
    switch range {
    case .integer(let range):
      #"{"type": ["integer", "null"], "minimum": \#(range.lowerBound), "#
        + #""maximum": \#(range.upperBound)}"#
    case .choice(let choices):
      #"{"enum": [\#(choices.map { "\"\($0)\", " }.joined())null]}"#
    case .name:
      #"{"type": ["string", "null"], "minLength": 1, "#
        + #""maxLength": \#(Limits.modelNameBytes.value)}"#
    }
  }

  private static let settingMembers =
    RuntimeSetting.allCases.map { #""\#($0.id)": \#(schema(of: $0.range))"# }
    .joined(separator: ",\n        ")

  static let settingSchemas = #"""
    "SettingsChange": {"type": "object", "additionalProperties": false,
      "properties": {
        \#(settingMembers)}},
    "Settings": {"type": "object", "required": ["object", "data", "has_more"],
      "properties": {"object": {"const": "list"}, "has_more": {"const": false},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Setting"}}}},
    "Setting": {"type": "object",
      "required": ["object", "id", "value", "default", "source", "description", "range"],
      "properties": {"object": {"const": "setting"}, "id": {"type": "string"},
        "value": {"type": ["integer", "string", "null"],
          "description": "Set by an admin; null: the configuration of each process decides"},
        "default": {"type": ["integer", "string"],
          "description": "Value of a process whose configuration has no other"},
        "source": {"enum": ["runtime", "configuration"]},
        "description": {"type": "string"},
        "range": {"type": "object", "properties": {"minimum": {"type": "integer"},
          "maximum": {"type": "integer"}, "maximum_bytes": {"type": "integer"},
          "values": {"type": "array", "items": {"type": "string"}}}}}},
    """#
}
