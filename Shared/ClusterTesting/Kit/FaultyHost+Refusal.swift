import ClusterModel

extension FaultyHost {
  /// The API that a request uses. `nil` means that the host does not have its path.
  func dialect(of request: FaultyHostRequest) -> HostDialect? {
    HostDialect.of(request, among: configuration.dialect?.served ?? HostDialect.allCases)
  }

  /// Error response to a request that lacks a required header or the secret, or that breaks a rule
  /// of the host's `family`; `nil` means that the host serves the request.
  func refusal(
    of request: FaultyHostRequest, _ dialect: HostDialect
  ) -> (status: Int, body: [UInt8])? {
    let own = configuration.dialect
    // A host of all dialects is lenient, because tests ask it without headers.
    if let complaint = own?.complaint(about: request.headers) {
      return (400, (own ?? dialect).error(complaint, status: 400))
    }
    if let secret = configuration.secret, !dialect.shows(secret, in: request.headers) {
      return (401, (own ?? dialect).error("that is not the secret", status: 401))
    }
    return familyRefusal(of: request)
  }

  private func familyRefusal(of request: FaultyHostRequest) -> (status: Int, body: [UInt8])? {
    guard request.method == "POST", request.path.hasSuffix("/completions") else { return nil }
    return configuration.family?.refusal(of: request.body)
  }
}
