import ClusterModel
import Text

/// How a contract is said: to the host, which may hold the model to it, and to the model.
enum ResponseFormat {
  /// Larger schemas are only told to the host: a small model gets lost in them.
  private static let shownSchemaBytes = 4_096

  /// The `response_format` that llama.cpp, vLLM and OpenAI understand; nil: the contract has no such
  /// form.
  static func json(for contract: OutputContract) -> JSON? {
    guard case .json(let schema) = contract,
      let document = try? JSONDocument(validating: Array(schema.utf8)),
      document.root.kind == .object
    else { return nil }
    return [
      "type": "json_schema",
      // Strict schemas of OpenAI's kind must name every member as required; these need not.
      "json_schema": ["name": "output", "strict": false, "schema": .raw(document.bytes)],
    ]
  }

  /// Empty: nothing needs to be said.
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

  /// Said to the model behind an answer that does not fit.
  static func correction(_ mistake: String, _ contract: OutputContract) -> String {
    "That does not fit: \(mistake). Write it again, whole and corrected.\n"
      + instruction(for: contract)
  }
}
