import ClusterModel
import Text

/// Expresses a contract to the host, which may enforce it, and to the model.
enum ResponseFormat {
  /// Maximum bytes of a schema in the prompt. A larger schema would confuse a small model, so only
  /// the host gets it.
  private static let shownSchemaBytes = 4_096
  /// Maximum bytes of a tool's description in the prompt: a paragraph.
  private static let shownDescriptionBytes = 1_024
  /// Maximum bytes of all tools in the prompt. The host gets the whole schemas.
  private static let shownToolBytes = 16_384

  /// The `response_format` that llama.cpp, vLLM and OpenAI understand. `nil` means that the
  /// contract cannot be expressed this way.
  static func json(for contract: OutputContract) -> JSON? {
    guard case .json(let schema) = contract,
      let document = try? JSONDocument(validating: Array(schema.utf8)),
      document.root.kind == .object
    else { return nil }
    return [
      "type": "json_schema",
      // A strict schema of OpenAI must list every member as required. A task's schema need not.
      "json_schema": ["name": "output", "strict": false, "schema": .raw(document.bytes)],
    ]
  }

  /// The `response_format` for a tool call as JSON. Custom tools are left out.
  static func json(for tools: ToolContract) -> JSON {
    let shapes = tools.tools.filter(\.takesJSON).map { tool -> JSON in
      [
        "type": "object", "required": ["name", "arguments"],
        "properties": [
          "name": ["enum": [.string(tool.name)]], "arguments": arguments(of: tool),
        ],
      ]
    }
    let schema: JSON = shapes.count == 1 ? shapes[0] : ["type": "object", "anyOf": .array(shapes)]
    return [
      "type": "json_schema",
      "json_schema": ["name": "call", "strict": false, "schema": schema],
    ]
  }

  private static func arguments(of tool: ToolContract.Tool) -> JSON {
    // A reference inside the tool's schema would lead to another place of this schema.
    guard let parameters = tool.parameters,
      !String(decoding: parameters, as: UTF8.self).containsBytes(of: "\"$ref\"")
    else { return ["type": "object"] }
    return .raw(parameters)
  }

  /// Asks the model for a tool call as JSON.
  /// - Parameter mistake: the mistake in the first answer. Empty if there was no answer.
  static func instruction(for tools: ToolContract, after mistake: String) -> String {
    let list = tools.tools.filter(\.takesJSON).map { tool -> String in
      var line = "- \(tool.name)"
      if !tool.description.isEmpty {
        line += ": \(tool.description.cut(toBytes: shownDescriptionBytes))"
      }
      guard let parameters = tool.parameters, parameters.count <= shownSchemaBytes else {
        return line
      }
      return line + "\n  Arguments, as JSON Schema: \(String(decoding: parameters, as: UTF8.self))"
    }
    // A longer list would fill the context of a small model.
    let shown = list.joined(separator: "\n").cut(toBytes: shownToolBytes)
    return (mistake.isEmpty ? "" : "That does not fit: \(mistake). ") + """
      Call \(tools.namesOne ? "this function" : "one of these functions") now, to do what I asked \
      for. Answer with one JSON object and nothing else, like this: \
      {"name":"the function","arguments":{}}.
      \(shown)
      """
  }

  /// Returns the contract in words for the model. Empty if the contract needs no words.
  static func instruction(for contract: OutputContract) -> String {
    switch contract {
    case .text, .vector: return ""
    case .choice(let words):
      return "Answer with exactly one of these and nothing else: "
        + words.joined(separator: ", ") + "."
    case .json(let schema):
      let only = "Answer with one JSON value and nothing else: no remark, no code fence."
      guard schema.utf8.count <= shownSchemaBytes else { return only }
      return "\(only) It must fit this JSON Schema:\n\(schema)"
    }
  }

  /// The message to the model after an answer that breaks the contract.
  static func correction(_ mistake: String, _ contract: OutputContract) -> String {
    "That does not fit: \(mistake). Write it again, whole and corrected.\n"
      + instruction(for: contract)
  }
}
