import ClusterModel
import Testing

@testable import InferenceCore

/// Changes that may be made to a direct, unstreamed request.
private let direct: RequestForm = [.unstreamed, .withoutUsageOption]
/// Changes that may be made to the request for a plan's task.
private let plan: RequestForm = [
  .unstreamed, .withoutUsageOption, .withoutTemperature, .withoutTopP, .withoutSeed,
  .withoutFormat, .newLimitName, .withoutLimit, .foldedSystem,
]

/// One refusal in a server's original wording.
private struct Refusal: CustomTestStringConvertible, Sendable {
  var server: String
  var status = 400
  var body: String
  var left = plan
  /// The expected change; `nil` means that the refusal is not about Tutti's additions.
  var change: RequestForm?

  var testDescription: String { "\(server): \(body.prefix(80))" }

  /// The failure as the reader reports it.
  var failure: AttemptFailure? {
    var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: status)
    for item in reader.append(Array(body.utf8)) + reader.end() {
      if case .broken(let failure) = item { return failure }
    }
    return nil
  }
}

private func openAI(_ message: String, param: String?, code: String? = nil) -> String {
  let param = param.map { #""\#($0)""# } ?? "null"
  let code = code.map { #""\#($0)""# } ?? "null"
  return #"{"error":{"message":"\#(message)","type":"invalid_request_error","param":\#(param),"#
    + #""code":\#(code)}}"#
}

private func pydantic(_ faults: [(type: String, field: String)]) -> String {
  let all = faults.map {
    #"{"type":"\#($0.type)","loc":["body","\#($0.field)"],"msg":"Extra inputs are not permitted","input":1}"#
  }
  return #"{"detail":[\#(all.joined(separator: ","))]}"#
}

private func vLLM(_ message: String) -> String {
  #"{"object":"error","message":"\#(message)","type":"BadRequestError","param":null,"code":400}"#
}

private func llama(_ message: String, code: Int = 400) -> String {
  #"{"error":{"code":\#(code),"message":"\#(message)","type":"invalid_request_error"}}"#
}

@Suite("Changes of a request after a refusal")
struct FormRemedyTests {
  private static let models = [
    Refusal(
      server: "OpenAI o-series",
      body: openAI(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
          + "'max_completion_tokens' instead.", param: "max_tokens", code: "unsupported_parameter"),
      change: .newLimitName),
    Refusal(
      server: "OpenAI o-series",
      body: openAI(
        "Unsupported value: 'temperature' does not support 0.3 with this model. Only the default "
          + "(1) value is supported.", param: "temperature", code: "unsupported_value"),
      change: .withoutTemperature),
    Refusal(
      server: "OpenAI o-series",
      body: openAI(
        "Unsupported parameter: 'top_p' is not supported with this model.", param: "top_p"),
      change: .withoutTopP),
    Refusal(
      server: "OpenAI o1-mini",
      body: openAI(
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        param: "messages[0].role", code: "unsupported_value"),
      change: .foldedSystem),
    Refusal(
      server: "OpenAI",
      body: openAI(
        "Your organization must be verified to stream this model.", param: "stream",
        code: "unsupported_value"),
      change: .unstreamed),
    Refusal(
      server: "OpenAI",
      body: openAI(
        "Invalid schema for response_format 'output': In context=(), 'additionalProperties' is "
          + "required to be supplied and to be false.", param: "response_format"),
      change: .withoutFormat),
    Refusal(
      server: "OpenAI",
      body: openAI(
        "max_tokens is too large: 4096. This model supports at most 2048 completion tokens.",
        param: "max_tokens"),
      change: .withoutLimit),
    Refusal(
      server: "OpenAI",
      body: openAI("Unrecognized request argument supplied: stream_options", param: nil),
      left: direct, change: .withoutUsageOption),
    Refusal(
      server: "Anthropic",
      body:
        #"{"type":"error","error":{"type":"invalid_request_error","message":"`temperature` and `top_p` cannot both be specified for this model. Please use only one."}}"#,
      change: .withoutTopP),
    Refusal(
      server: "Mistral", status: 422,
      body:
        #"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":7}]},"type":"invalid_request_error","param":null,"code":null}"#,
      change: .withoutSeed),
    Refusal(
      server: "Mistral", status: 422, body: pydantic([("extra_forbidden", "stream_options")]),
      left: direct, change: .withoutUsageOption),
    Refusal(
      server: "Gemini",
      body:
        #"[{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \"seed\": Cannot find field.","status":"INVALID_ARGUMENT"}}]"#,
      change: .withoutSeed),
    Refusal(
      server: "Gemini",
      body:
        #"[{"error":{"code":400,"message":"Developer instruction is not enabled for models/gemma-3-27b-it","status":"INVALID_ARGUMENT"}}]"#,
      change: .foldedSystem),
    Refusal(
      server: "DeepSeek",
      body: openAI("This response_format type is unavailable now", param: nil),
      change: .withoutFormat),
    Refusal(
      server: "Groq",
      body: openAI(
        "'seed' : unknown field. Supported fields: model, messages, temperature, stream", param: nil
      ),
      change: .withoutSeed),
  ]

  private static let servers = [
    Refusal(
      server: "vLLM", body: vLLM("`prompt_logprobs` are not available when `stream=True`."),
      left: direct, change: .unstreamed),
    Refusal(
      server: "vLLM", body: vLLM("best_of must be 1 when using beam search or streaming"),
      left: direct, change: .unstreamed),
    Refusal(server: "vLLM", body: vLLM("System role not supported"), change: .foldedSystem),
    Refusal(
      server: "vLLM",
      body: vLLM("Conversation roles must alternate user/assistant/user/assistant/..."),
      change: .foldedSystem),
    Refusal(
      server: "llama.cpp", body: llama("logprobs is not supported with tools + stream"),
      left: direct, change: .unstreamed),
    Refusal(
      server: "llama.cpp", status: 500,
      body: llama("Jinja Exception: System role not supported", code: 500), change: .foldedSystem),
    Refusal(server: "llama.cpp", body: llama("Failed to parse grammar"), change: .withoutFormat),
    Refusal(
      server: "LM Studio",
      body: #"{"error":"'response_format.type' must be 'json_schema' or 'text'"}"#,
      change: .withoutFormat),
    Refusal(
      server: "Ollama", body: openAI("streaming is not supported by this model", param: nil),
      left: direct, change: .unstreamed),
    Refusal(
      server: "TGI", status: 422,
      body:
        #"{"error":"Template error: invalid operation: Only user and assistant roles are supported, got system. (in <string>:1)","error_type":"template_error"}"#,
      change: .foldedSystem),
    Refusal(
      server: "a strict proxy", status: 422, body: pydantic([("literal_error", "stream")]),
      left: direct, change: .unstreamed),
    Refusal(
      server: "a strict proxy", status: 422,
      body: pydantic([("extra_forbidden", "seed"), ("extra_forbidden", "response_format")]),
      change: [.withoutSeed, .withoutFormat]),
    Refusal(
      server: "a strict proxy", status: 403, body: #"{"error":"streaming is disabled here"}"#,
      left: direct, change: .unstreamed),
    Refusal(
      server: "a proxy without words", body: "Bad Request", left: direct, change: direct),
    Refusal(
      server: "a proxy without words", status: 501, body: "", left: direct, change: direct),
    Refusal(
      server: "a proxy without words", body: "Bad Request",
      change: [
        .withoutUsageOption, .withoutTemperature, .withoutTopP, .withoutSeed, .withoutFormat,
      ]),
    Refusal(
      server: "vLLM",
      body: vLLM(
        "This model's maximum context length is 2048 tokens. However, you requested 2500 tokens "
          + "(500 in the messages, 2000 in the completion)."),
      change: .withoutLimit),
  ]

  @Test("each server's wording leads to the change that it asks for", arguments: models + servers)
  fileprivate func wordings(_ refusal: Refusal) throws {
    let failure = try #require(refusal.failure)
    #expect(FormRemedy.change(after: failure, left: refusal.left)?.form == refusal.change)
  }

  @Test(
    "a refusal that is about the client's request changes nothing",
    arguments: [
      Refusal(server: "OpenAI", body: openAI("Invalid content type", param: "messages[1].content")),
      Refusal(server: "OpenAI", body: openAI("Invalid 'tools'", param: "tools[0].function.name")),
      Refusal(
        server: "Azure",
        body: openAI("The response was filtered", param: "prompt", code: "content_filter")),
      Refusal(
        server: "Azure",
        body: openAI("content management policy", param: nil, code: "content_filter")),
      Refusal(server: "OpenAI", status: 401, body: openAI("Incorrect API key", param: nil)),
      Refusal(
        server: "OpenAI", status: 404, body: openAI("no such model: stream", param: "stream")),
      Refusal(server: "OpenAI", status: 429, body: openAI("stream less", param: nil)),
      Refusal(server: "a broken host", status: 500, body: "upstream stream closed"),
      Refusal(
        server: "llama.cpp",
        body: llama("the request exceeds the available context size, try increasing it")),
    ])
  fileprivate func others(_ refusal: Refusal) throws {
    let failure = try #require(refusal.failure)
    #expect(FormRemedy.change(after: failure, left: refusal.left) == nil)
  }

  @Test("a member that is already left out, or that the client set, is not removed")
  func nothingLeft() throws {
    for refusal in Self.models + Self.servers {
      let failure = try #require(refusal.failure)
      #expect(FormRemedy.change(after: failure, left: []) == nil, "\(refusal)")
    }
    // The client itself set the temperature, so the client gets the refusal.
    let failure = try #require(Self.models[1].failure)
    #expect(FormRemedy.change(after: failure, left: direct) == nil)
  }

  @Test("an error event in place of an answer is understood like a status")
  func event() {
    let failure = AttemptFailure(.errorEvent, "System role not supported")
    #expect(FormRemedy.change(after: failure, left: plan)?.form == .foldedSystem)
    let other = AttemptFailure(.errorEvent, "the stream broke")
    #expect(FormRemedy.change(after: other, left: plan) == nil)
  }
}
