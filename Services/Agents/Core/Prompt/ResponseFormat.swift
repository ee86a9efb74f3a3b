import ClusterModel
import Text

/// Expresses a contract to the host, which may enforce it, and to the model.
enum ResponseFormat {
  /// Maximum bytes of a schema in the prompt. A larger schema would confuse a small model, so only
  /// the host gets it.
  private static let shownSchemaBytes = 4_096

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
