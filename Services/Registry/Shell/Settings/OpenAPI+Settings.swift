import ClusterModel

// Run-time settings in the admin API's description. Each part is a run of members.

private let errors =
  ["400", "401", "403", "429", "500", "503"]
  .map { ##""\##($0)": {"$ref": "#/components/responses/Error"}"## }.joined(separator: ", ")
private let done =
  #""200": {"description": "All settings", "headers": {"ETag": {"schema": {"type": "string"}}}, "#
  + ##""content": {"application/json": {"schema": {"$ref": "#/components/schemas/Settings"}}}}"##

let settingPaths = #"""
        "/admin/v1/settings": {
          "get": {"summary": "List the settings that can change at run time",
            "responses": {\#(done), \#(errors)}},
          "patch": {
            "summary": "Change settings in all processes without a restart; null removes a value",
            "parameters": [{"name": "If-Match", "in": "header", "schema": {"type": "string"},
              "description": "ETag of the list that was read; 412 if another admin changed it"}],
            "requestBody": {"required": true, "content": {"application/json": {"schema": {
              "$ref": "#/components/schemas/SettingsChange"}}}},
            "responses": {\#(done), "412": {"$ref": "#/components/responses/Error"},
              "413": {"$ref": "#/components/responses/Error"}, \#(errors)}}
        },
  """#

private func schema(of range: RuntimeSetting.Range) -> String {
  switch range {
  case .integer(let range):
    #"{"type": ["integer", "null"], "minimum": \#(range.lowerBound), "#
      + #""maximum": \#(range.upperBound)}"#
  case .choice(let choices):
    #"{"enum": [\#(choices.map { "\"\($0)\", " }.joined())null]}"#
  }
}

private let members =
  RuntimeSetting.allCases.map { #""\#($0.id)": \#(schema(of: $0.range))"# }
  .joined(separator: ",\n            ")

let settingSchemas = #"""
        "SettingsChange": {"type": "object", "additionalProperties": false,
          "properties": {
            \#(members)}},
        "Settings": {"type": "object", "required": ["object", "data", "has_more"],
          "properties": {"object": {"const": "list"}, "has_more": {"type": "boolean"},
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
              "maximum": {"type": "integer"},
              "values": {"type": "array", "items": {"type": "string"}}}}}},
  """#
