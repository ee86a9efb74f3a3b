import Access
import ClusterModel
import GatewayCore
import HTTPTypes
import Hummingbird
import Limits
import NIOCore
import Overload

extension HTTPField.Name {
  /// Header with the trace's id, which every response has.
  static let gatewayTrace = HTTPField.Name("x-tutti-trace")!
  /// Header with the cost of an answer that is not streamed, in credits.
  static let cost = HTTPField.Name("x-tutti-cost")!
  /// Header with the maximum tokens of the answer. It is set if the rest of a budget does not pay
  /// the longest possible answer.
  static let affordableTokens = HTTPField.Name("x-tutti-affordable-tokens")!
  /// Header with the budget that limits `affordableTokens`, and with its reset.
  static let limitingBudget = HTTPField.Name("x-tutti-limiting-budget")!
  static let limitRequests = HTTPField.Name("x-ratelimit-limit-requests")!
  static let remainingRequests = HTTPField.Name("x-ratelimit-remaining-requests")!
  static let resetRequests = HTTPField.Name("x-ratelimit-reset-requests")!
  static let limitTokens = HTTPField.Name("x-ratelimit-limit-tokens")!
  static let remainingTokens = HTTPField.Name("x-ratelimit-remaining-tokens")!
  static let resetTokens = HTTPField.Name("x-ratelimit-reset-tokens")!
}

extension Response {
  init(json body: [UInt8], _ trace: TraceContext) {
    self.init(json: body, traceText: trace.trace.description)
  }

  /// - Parameter traceText: text of the trace's id.
  init(json body: [UInt8], traceText: String) {
    self.init(
      status: .ok,
      headers: [.contentType: "application/json", .gatewayTrace: traceText],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
  }

  /// A JSON response. The bytes of a body larger than `Limits.heavyBytes` are charged to the
  /// process's memory until they are written to the client.
  /// - Throws: `overloaded` if there is no room for the response.
  init(json body: [UInt8], _ trace: TraceContext, chargedTo memory: MemoryBudget) throws(Failure) {
    guard body.count > Limits.heavyBytes.value else {
      self.init(json: body, trace)
      return
    }
    let account = memory.account()
    guard account.add(body.count) else { throw memory.overloaded }
    self.init(json: [], trace)
    self.body = ResponseBody(contentLength: body.count) { writer in
      for start in stride(from: 0, to: body.count, by: Limits.heavyBytes.value) {
        let end = min(start + Limits.heavyBytes.value, body.count)
        try await writer.write(ByteBuffer(bytes: body[start..<end]))
      }
      try await writer.finish(nil)
      withExtendedLifetime(account) {}
    }
  }

  /// A stream of server-sent events.
  /// - Parameters:
  ///   - passed: headers of the host's response.
  ///   - payment: the request's hold. `nil` means that the request costs nothing.
  ///   - write: sends the body.
  init(
    events trace: TraceContext, passing passed: [PassedHeader] = [], paidBy payment: Payment? = nil,
    _ write: @escaping @concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void
  ) {
    var headers: HTTPFields = [
      .contentType: "text/event-stream", .cacheControl: "no-cache",
      // This header forbids proxies to buffer the response, which would defeat streaming.
      HTTPField.Name("x-accel-buffering")!: "no", .gatewayTrace: trace.trace.description,
    ]
    headers.pass(passed)
    headers.set(payment?.cut)
    self.init(status: .ok, headers: headers, body: ResponseBody(write))
  }
}

extension HTTPFields {
  /// First parts of the names of headers in which hosts report rate limits.
  private static let hostLimits = ["x-ratelimit-", "ratelimit-", "anthropic-ratelimit-"]

  /// Removes the rate limits of a host. They are limits of the operator's account at the host, so
  /// clients with keys do not receive them.
  mutating func removeHostLimits() {
    func isHostLimit(_ field: HTTPField) -> Bool {
      Self.hostLimits.contains(where: field.name.canonicalName.hasPrefix)
    }
    // Most answers have none, and then no copy is made.
    guard contains(where: isHostLimit) else { return }
    self = filter { !isHostLimit($0) }
  }

  /// Sets the `x-ratelimit-*` headers of a key, which replace the present ones. `nil` changes
  /// nothing.
  mutating func set(_ limits: RateLimitHeaders?) {
    guard let limits else { return }
    // Six fields, and some that the server adds.
    reserveCapacity(count + 9)
    set(limits.requests, .limitRequests, .remainingRequests, .resetRequests)
    set(limits.tokens, .limitTokens, .remainingTokens, .resetTokens)
  }

  /// Sets the headers of an answer that a budget limits. `nil` changes nothing.
  mutating func set(_ cut: BudgetCut?) {
    guard let cut else { return }
    self[.affordableTokens] = cut.tokensText
    self[.limitingBudget] = cut.budgetText
  }

  private mutating func set(
    _ row: RateLimitHeaders.Row?, _ limit: HTTPField.Name, _ remaining: HTTPField.Name,
    _ reset: HTTPField.Name
  ) {
    guard let row else { return }
    self[limit] = String(row.limit)
    self[remaining] = String(row.remaining)
    self[reset] = row.resetText
  }

  /// Adds headers of a host's response.
  mutating func pass(_ headers: [PassedHeader]) {
    for header in headers {
      guard let name = HTTPField.Name(header.name) else { continue }
      append(HTTPField(name: name, value: header.value))
    }
  }
}
