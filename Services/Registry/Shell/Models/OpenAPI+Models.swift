import ClusterModel
import Limits
import RegistryCore

// Records of models in the admin API's description. Each part is a run of members.

private let names = "{\"type\": \"string\", \"minLength\": 1, \"maxLength\": 256}"

/// The settings of a model. A change may have each of them, also as `null`.
private func settings(isChange: Bool) -> String {
  func list(_ most: Int, _ items: String, _ description: String) -> String {
    let type = isChange ? #"["array", "null"]"# : #""array""#
    return #"{"type": \#(type), "maxItems": \#(most), "items": \#(items), "#
      + #""description": "\#(description)"}"#
  }
  let members: [(String, String)] = [
    (
      "stands_for",
      list(
        Limits.modelAliasTargets.value, names,
        "Models for which the name is an alias, the preferred one first; empty: it is none")
    ),
    (
      "hosts",
      list(
        Limits.tableHosts.value, #"{"type": "string", "pattern": "^[A-Za-z0-9.:_-]{1,128}$"}"#,
        "Hosts that may serve the model; empty, also host_pools: all")
    ),
    (
      "host_pools",
      list(
        Limits.modelRecordPools.value, #"{"type": "string", "pattern": "^[a-z0-9._-]{1,64}$"}"#,
        "Tags of hosts that may serve the model")
    ),
    (
      "hidden",
      #"{"type": \#(isChange ? #"["boolean", "null"]"# : #""boolean""#), "#
        + #""description": "Left out of GET /v1/models; requests for it are answered"}"#
    ),
    (
      "kind",
      #"{"enum": [\#(values(of: ModelKind.self)), null], "#
        + #""description": "Purpose of the model; null: it follows from the name"}"#
    ),
    (
      "context_tokens",
      #"{"type": ["integer", "null"], "minimum": 1, "#
        + #""maximum": \#(ModelPatch.contextTokens.upperBound), "#
        + #""description": "Maximum prompt and completion; null: as the host reports"}"#
    ),
    (
      "minimum_versions",
      list(
        Limits.modelRecordVersions.value, #"{"type": "string", "minLength": 1}"#,
        "Lowest versions of servers, each like vLLM=0.6.3")
    ),
  ]
  return members.map { #""\#($0)": \#($1)"# }.joined(separator: ",\n              ")
}

let modelPaths = #"""
        "/admin/v1/models": {
          "get": {
            "summary": "List models by name: those that hosts list, and those with a record",
            "parameters": [
              {"name": "limit", "in": "query",
               "description": "A page with many offers may have fewer models",
               "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
              {"name": "after", "in": "query", "description": "Last id of the previous page",
               "schema": {"type": "string"}}
            ],
            "responses": {
              "200": {"description": "A page", "content": {"application/json": {"schema": {
                "type": "object", "required": ["object", "data", "has_more"],
                "properties": {
                  "object": {"const": "list"},
                  "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
                  "has_more": {"type": "boolean"}}}}}},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"}
            }
          }
        },
        "/admin/v1/models/{id}": {
          "parameters": [{"$ref": "#/components/parameters/ModelID"}],
          "get": {
            "summary": "One model",
            "responses": {
              "200": {"$ref": "#/components/responses/Model"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"}
            }
          },
          "patch": {
            "summary": "Change a model's record, or make one; absent members stay",
            "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
            "requestBody": {"required": false, "content": {"application/json": {"schema": {
              "type": "object", "additionalProperties": false,
              "properties": {
              \#(settings(isChange: true))}}}}},
            "responses": {
              "200": {"$ref": "#/components/responses/Model"},
              "400": {"$ref": "#/components/responses/Error"},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "413": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"},
              "503": {"$ref": "#/components/responses/Error"}
            }
          },
          "delete": {
            "summary": "Remove a model's record",
            "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
            "responses": {
              "200": {"description": "The record is removed", "content": {"application/json": {
                "schema": {"type": "object", "required": ["object", "id", "deleted"],
                  "properties": {"object": {"const": "model"}, "id": {"type": "string"},
                    "deleted": {"const": true}}}}}},
              "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "404": {"$ref": "#/components/responses/Error"},
              "412": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"}
            }
          }
        },
  """#

let modelParameters = #"""
          "ModelID": {"name": "id", "in": "path", "required": true,
            "description": "Name of a model; a slash is sent as %2F",
            "schema": \#(names)},
  """#

let modelResponses = #"""
          "Model": {"description": "The model; its ETag is \"0\" without a record",
            "headers": {"ETag": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Model"}}}},
  """#

let modelSchemas = #"""
          "Model": {
            "type": "object",
            "required": ["object", "id", "stands_for", "hosts", "host_pools", "hidden", "kind",
              "context_tokens", "minimum_versions", "offers"],
            "properties": {
              "object": {"const": "model"},
              "id": {"type": "string"},
              \#(settings(isChange: false)),
              "offers": {"type": "array", "description": "Hosts that list the model, or one for which it is an alias",
                "items": {"type": "object", "required": ["host", "approved", "state"],
                  "properties": {
                    "host": {"type": "string"},
                    "approved": {"type": "boolean", "description": "The host may serve it"},
                    "state": {"enum": [\#(values(of: HostState.self))]}}}}}
          },
  """#
