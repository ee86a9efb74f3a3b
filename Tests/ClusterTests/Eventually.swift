import Testing

/// The condition did not become true in time.
struct TooLate: Error, CustomStringConvertible {
  let description: String
}

/// Polls until `ask` returns a value.
///
/// Most conditions are about other processes, which cannot notify the test.
///
/// - Parameter limit: much more time than a loaded two-core machine needs. The test fails after it.
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
