import ClusterModel

extension FaultyHost {
  /// Error response to a request in another dialect or without the secret; `nil` means that the
  /// host serves the request.
  func refusal(
    of request: FaultyHostRequest, _ dialect: HostDialect
  ) -> (status: Int, body: [UInt8])? {
    let path = request.path
    switch configuration.dialect {
    case nil: break
    case .openai:
      guard path.hasPrefix("/v1/"), path != "/v1/messages" else {
        return (404, FaultyHostOpenAI.error("unknown path \(path)", status: 404))
      }
    // Ollama also serves OpenAI's API.
    case .ollama:
      guard path != "/v1/messages" else {
        return (404, FaultyHostOllama.error("unknown path \(path)", status: 404))
      }
    case .anthropic:
      guard path == "/v1/messages" || path == "/v1/models" else {
        return (404, FaultyHostAnthropic.error("unknown path \(path)", status: 404))
      }
      guard request.headers["anthropic-version"] != nil else {
        let message = "anthropic-version: header is required"
        return (400, FaultyHostAnthropic.error(message, status: 400))
      }
    }
    guard let secret = configuration.secret else { return familyRefusal(of: request) }
    let shown =
      dialect == .anthropic
      ? request.headers["x-api-key"] == secret
      : request.headers["authorization"] == "Bearer \(secret)"
    let voice = configuration.dialect ?? dialect
    return shown
      ? familyRefusal(of: request) : (401, voice.error("that is not the secret", status: 401))
  }

  private func familyRefusal(of request: FaultyHostRequest) -> (status: Int, body: [UInt8])? {
    guard request.method == "POST", request.path.hasSuffix("/completions") else { return nil }
    return configuration.family?.refusal(of: request.body)
  }
}
