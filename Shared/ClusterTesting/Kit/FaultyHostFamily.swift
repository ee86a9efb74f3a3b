import Foundation

/// A fictitious model family that refuses requests by the rules of a real one.
public enum FaultyHostFamily: String, CaseIterable, Codable, Sendable {
  /// OpenAI's first reasoning models: a request has no `max_tokens`, no temperature except 1, no
  /// `top_p` and no system message.
  case reasoning = "reasoning-model"
  /// Anthropic's newer models: a request may set the temperature or `top_p`, not both.
  case oneSampler = "one-sampler-model"
  /// Gemma's chat template: there is no system message, and user and assistant alternate.
  case noSystem = "no-system-model"
  /// A server that validates requests with Pydantic, forbids unknown members, and forbids streams.
  case strict = "strict-model"

  /// The response to a request that breaks the rules; `nil` means that the request is accepted.
  func refusal(of body: [UInt8]) -> (status: Int, body: [UInt8])? {
    let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    guard let request = object else { return nil }
    let messages = request["messages"] as? [[String: Any]] ?? []
    let roles = messages.map { $0["role"] as? String ?? "" }
    let isSystem = roles.contains { ["system", "developer"].contains($0) }
    switch self {
    case .reasoning:
      if request["max_tokens"] != nil {
        return Self.error(
          "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            + "'max_completion_tokens' instead.", "max_tokens")
      }
      if let temperature = request["temperature"] as? Double, temperature != 1 {
        return Self.error(
          "Unsupported value: 'temperature' does not support \(temperature) with this model. Only "
            + "the default (1) value is supported.", "temperature")
      }
      if request["top_p"] != nil {
        return Self.error(
          "Unsupported parameter: 'top_p' is not supported with this model.", "top_p")
      }
      guard isSystem else { return nil }
      return Self.error(
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "messages[0].role")
    case .oneSampler:
      guard request["temperature"] != nil, request["top_p"] != nil else { return nil }
      return Self.error(
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        nil)
    case .noSystem:
      if isSystem { return Self.error("System role not supported", nil) }
      let turns = roles.enumerated().allSatisfy {
        $0.element == ($0.offset % 2 == 0 ? "user" : "assistant")
      }
      return turns
        ? nil
        : Self.error("Conversation roles must alternate user/assistant/user/assistant/...", nil)
    case .strict:
      let known: Set = ["model", "messages", "max_tokens", "temperature", "stream"]
      var faults = request.keys.filter { !known.contains($0) }.sorted().map {
        #"{"type":"extra_forbidden","loc":["body","\#($0)"],"msg":"Extra inputs are not permitted"}"#
      }
      if request["stream"] as? Bool == true {
        faults.append(
          #"{"type":"literal_error","loc":["body","stream"],"msg":"Input should be False"}"#)
      }
      guard !faults.isEmpty else { return nil }
      return (422, Array(#"{"detail":[\#(faults.joined(separator: ","))]}"#.utf8))
    }
  }

  private static func error(_ message: String, _ param: String?) -> (status: Int, body: [UInt8]) {
    let param = param.map { #""\#($0)""# } ?? "null"
    return (
      400,
      Array(
        (#"{"error":{"message":"\#(message)","type":"invalid_request_error","param":\#(param),"#
          + #""code":"unsupported"}}"#).utf8)
    )
  }
}
