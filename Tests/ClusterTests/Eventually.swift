import Testing

/// What was waited for did not happen.
struct TooLate: Error, CustomStringConvertible {
  let description: String
}

/// Asks about processes, which cannot tell us, until the answer is there. For nothing else: what
/// runs in the process of the test is awaited.
/// - Parameter limit: far beyond what a loaded machine of two cores needs; reaching it is a failure.
func eventually<Value>(
  _ what: String, within limit: Duration = .seconds(120), _ ask: () async throws -> Value?
) async throws -> Value {
  let clock = ContinuousClock()
  let deadline = clock.now.advanced(by: limit)
  while true {
    if let value = try await ask() { return value }
    guard clock.now < deadline else { throw TooLate(description: "\(what): not within \(limit)") }
    try await clock.sleep(for: .milliseconds(50))
  }
}
