import Limits

/// One client request, recorded when it ends.
public struct RequestRecord: Hashable, Codable, Sendable {
  public var trace: TraceID
  public var timeUnixMicroseconds: UInt64
  /// Id of the client's key. Empty if the cluster required none, or the key was refused.
  public var key: String
  /// Path of the endpoint, for example `/v1/chat/completions`.
  public var endpoint: String
  /// Model name in the client's request.
  public var model: String
  /// `direct`, or the pattern's name.
  public var pattern: String
  public var stream: Bool
  /// HTTP status. 499 if the client disconnected first.
  public var status: Int
  /// The error's `code`. Empty on success.
  public var errorCode: String
  /// Host that answered. Empty if there is none.
  public var host: String
  public var usage: Usage
  /// Why the answer ended. Empty if it did not end, or has no reason.
  public var finishReason: String
  /// The client's charge. `nil` means that the request is not billed.
  public var cost: CreditAmount?
  /// Cost of the hosts at their own prices. `nil` means that no host worked, or that the price of
  /// one is unknown.
  public var hostCost: CreditAmount?
  /// The largest shares of hosts in the work, at most `Limits.recordedShares`.
  public var shares: [HostShare]
  /// Time to the first token. 0 means that no token was received.
  public var firstTokenMilliseconds: Int
  public var totalMilliseconds: Int

  private enum CodingKeys: String, CodingKey {
    case trace, key, endpoint, model, pattern, stream, status, host, usage, cost, shares
    case time
    case errorCode = "error_code"
    case finishReason = "finish_reason"
    case hostCost = "host_cost"
    case firstTokenMilliseconds = "first_token_ms"
    case totalMilliseconds = "total_ms"
  }

  public init(
    trace: TraceID, timeUnixMicroseconds: UInt64, key: String = "", endpoint: String,
    model: String, pattern: String, stream: Bool, status: Int, errorCode: String = "",
    host: String = "", usage: Usage = .zero, finishReason: String = "",
    cost: CreditAmount? = nil, hostCost: CreditAmount? = nil, shares: [HostShare] = [],
    firstTokenMilliseconds: Int = 0, totalMilliseconds: Int
  ) {
    self.trace = trace
    self.timeUnixMicroseconds = timeUnixMicroseconds
    self.key = key
    self.endpoint = endpoint
    self.model = model
    self.pattern = pattern
    self.stream = stream
    self.status = status
    self.errorCode = errorCode
    self.host = host
    self.usage = usage
    self.finishReason = finishReason
    self.cost = cost
    self.hostCost = hostCost
    self.shares = Array(shares.prefix(Limits.recordedShares.value))
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.totalMilliseconds = totalMilliseconds
  }

  /// The time has the form of RFC 3339, the usage has its sum, and unknown costs are `null`.
  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(trace, forKey: .trace)
    try members.encode(
      Timestamp(unixMicroseconds: timeUnixMicroseconds), forKey: .time)
    try members.encode(key, forKey: .key)
    try members.encode(endpoint, forKey: .endpoint)
    try members.encode(model, forKey: .model)
    try members.encode(pattern, forKey: .pattern)
    try members.encode(stream, forKey: .stream)
    try members.encode(status, forKey: .status)
    try members.encode(errorCode, forKey: .errorCode)
    try members.encode(host, forKey: .host)
    try members.encode(CountedUsage(usage), forKey: .usage)
    try members.encode(finishReason, forKey: .finishReason)
    try members.encode(cost, forKey: .cost)
    try members.encode(hostCost, forKey: .hostCost)
    try members.encode(shares, forKey: .shares)
    try members.encode(firstTokenMilliseconds, forKey: .firstTokenMilliseconds)
    try members.encode(totalMilliseconds, forKey: .totalMilliseconds)
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      trace: try members.decode(TraceID.self, forKey: .trace),
      timeUnixMicroseconds: try members.decode(Timestamp.self, forKey: .time).unixMicroseconds,
      key: try members.decode(String.self, forKey: .key),
      endpoint: try members.decode(String.self, forKey: .endpoint),
      model: try members.decode(String.self, forKey: .model),
      pattern: try members.decode(String.self, forKey: .pattern),
      stream: try members.decode(Bool.self, forKey: .stream),
      status: try members.decode(Int.self, forKey: .status),
      errorCode: try members.decode(String.self, forKey: .errorCode),
      host: try members.decode(String.self, forKey: .host),
      usage: try members.decode(Usage.self, forKey: .usage),
      // A monitor of an earlier version does not send these four members.
      finishReason: try members.decodeIfPresent(String.self, forKey: .finishReason) ?? "",
      cost: try members.decodeIfPresent(CreditAmount.self, forKey: .cost),
      hostCost: try members.decodeIfPresent(CreditAmount.self, forKey: .hostCost),
      shares: try members.decodeIfPresent([HostShare].self, forKey: .shares) ?? [],
      firstTokenMilliseconds: try members.decode(Int.self, forKey: .firstTokenMilliseconds),
      totalMilliseconds: try members.decode(Int.self, forKey: .totalMilliseconds))
  }

  /// A usage with its sum.
  private struct CountedUsage: Encodable {
    let usage: Usage

    init(_ usage: Usage) { self.usage = usage }

    private enum CodingKeys: String, CodingKey { case totalTokens = "total_tokens" }

    func encode(to encoder: any Encoder) throws {
      try usage.encode(to: encoder)
      var members = encoder.container(keyedBy: CodingKeys.self)
      try members.encode(usage.totalTokens, forKey: .totalTokens)
    }
  }
}

/// Tokens that one host processed for a request with one model. The client may have received fewer:
/// a race has two hosts that read the prompt.
public struct HostShare: Hashable, Codable, Sendable {
  public var host: HostID
  /// The host's own name of the model, if it is known.
  public var model: ModelID
  public var promptTokens: Int
  public var completionTokens: Int
  /// Cost at the host's own price. `nil` means that the price is unknown.
  public var cost: CreditAmount?

  private enum CodingKeys: String, CodingKey {
    case host, model
    case promptTokens = "prompt_tokens"
    case completionTokens = "completion_tokens"
    case cost = "host_cost"
  }

  public init(
    host: HostID, model: ModelID, promptTokens: Int, completionTokens: Int,
    cost: CreditAmount? = nil
  ) {
    self.host = host
    self.model = model
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.cost = cost
  }

  public var totalTokens: Int { promptTokens.addingCapped(completionTokens) }

  /// An unknown cost is `null`.
  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(host, forKey: .host)
    try members.encode(model, forKey: .model)
    try members.encode(promptTokens, forKey: .promptTokens)
    try members.encode(completionTokens, forKey: .completionTokens)
    try members.encode(cost, forKey: .cost)
  }
}
