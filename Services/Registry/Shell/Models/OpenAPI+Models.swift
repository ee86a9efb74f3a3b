import ClusterModel
import Limits
import RegistryCore

/// Routes of the records of models.
extension AdminDocument {
  private static let modelName =
    #"{"type": "string", "minLength": 1, "maxLength": \#(Limits.modelNameBytes.value)}"#

  /// The settings of a model. In a change, each of them may also be `null`.
  private static func modelSettings(isChange: Bool) -> String {
    func list(_ most: Int, _ items: String, _ description: String) -> String {
      let type = isChange ? #"["array", "null"]"# : #""array""#
      return #"{"type": \#(type), "maxItems": \#(most), "uniqueItems": true, "#
        + #""items": \#(items), "description": "\#(description)"}"#
    }
    let members: [(String, String)] = [
      (
        "stands_for",
        list(
          Limits.modelAliasTargets.value, modelName,
          "Models for which the name is an alias, the preferred one first; empty: it is none")
      ),
      (
        "ranked",
        #"{"type": \#(isChange ? #"["boolean", "null"]"# : #""boolean""#), "#
          + #""description": "Hosts of a later model of stands_for are asked only if those of "#
          + #"earlier ones are busy or fail"}"#
      ),
      (
        "hosts",
        list(
          Limits.tableHosts.value,
          #"{"type": "string", "pattern": "^(?![.]{1,2}$)[A-Za-z0-9.:_-]{1,128}$"}"#,
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
        #"{"type": ["integer", "null"], "minimum": \#(ModelPatch.contextTokens.lowerBound), "#
          + #""maximum": \#(ModelPatch.contextTokens.upperBound), "#
          + #""description": "Maximum prompt and completion; null: as the host reports"}"#
      ),
      (
        "minimum_versions",
        list(
          Limits.modelRecordVersions.value,
          #"{"type": "string", "minLength": 1, "maxLength": \#(Limits.hostVersionBytes.value)}"#,
          "Lowest versions of servers, each like vLLM=0.6.3")
      ),
    ]
    return members.map { #""\#($0)": \#($1)"# }.joined(separator: ",\n        ")
  }

  private static let model = answer(
    "Model", tag: #"Changes with the record; \"0\" without a record"#, "The model")

  static let modelPaths = #"""
    "/admin/v1/models": {
      "get": {
        "summary": "List models by name: those that hosts list, and those with a record",
        "description": "A page with many offers may have fewer models than limit",
        "parameters": [\#(pageLimit), \#(afterID)],
        \#(responses(page(of: "Model")))
      }
    },
    "/admin/v1/models/{id}": {
      "parameters": [\#(parameter("ModelID"))],
      "get": {
        "summary": "One model",
        \#(responses(model, 404))
      },
      "patch": {
        "summary": "Change a model's record, or make one; absent members stay",
        "parameters": [\#(parameter("IfMatch"))],
        \#(body(
          "ModelChange", isRequired: false,
          example: #"{"stands_for": ["qwen3:32b", "qwen3-32b-instruct"]}"#)),
        \#(responses(model, 404, 412))
      },
      "delete": {
        "summary": "Remove a model's record",
        "parameters": [\#(parameter("IfMatch"))],
        \#(responses(removal(of: "model"), 404, 412))
      }
    },
    """#

  static let modelParameters = #"""
    "ModelID": {"name": "id", "in": "path", "required": true,
      "description": "Name of a model; a slash is sent as %2F",
      "schema": \#(modelName)},
    """#

  static let modelSchemas = #"""
    "ModelChange": {"type": "object", "additionalProperties": false,
      "properties": {
        \#(modelSettings(isChange: true))}},
    "Model": {
      "type": "object",
      "required": ["object", "id", "stands_for", "ranked", "hosts", "host_pools", "hidden",
        "kind", "context_tokens", "minimum_versions", "offers"],
      "properties": {
        "object": {"const": "model"},
        "id": {"type": "string"},
        \#(modelSettings(isChange: false)),
        "offers": {"type": "array",
          "description": "Hosts that list the model, or one for which it is an alias",
          "items": {"type": "object", "required": ["host", "approved", "state"],
            "properties": {
              "host": {"type": "string"},
              "approved": {"type": "boolean", "description": "The host may serve it"},
              "state": {"enum": [\#(values(of: HostState.self))]}}}}}
    },
    """#
}
