/// Values of the `x-ratelimit-*` headers, in OpenAI's form.
public struct RateLimitHeaders: Hashable, Sendable {
  public struct Row: Hashable, Sendable {
    /// The key's limit in the whole cluster.
    public let limit: Int
    /// The unused part of this gateway's share.
    public let remaining: Int
    /// Seconds until the count of requests or tokens is 0, if no request follows.
    let secondsToReset: Int

    /// Time until the count of requests or tokens is 0, for example `6m0s`.
    public var resetText: String { RateLimitHeaders.durationText(secondsToReset) }

    /// The row with the smaller `remaining`. If both have the same, the row of the minute.
    static func scarcer(_ minute: Row?, _ day: Row?) -> Row? {
      guard let minute, let day else { return minute ?? day }
      return day.remaining < minute.remaining ? day : minute
    }
  }

  /// Row of the requests. `nil` means that the key has no such limit. The same applies to `tokens`.
  public let requests: Row?
  public let tokens: Row?

  /// A duration such as `1s`, `6m0s` or `23h0m59s`.
  static func durationText(_ seconds: Int) -> String {
    let (minutes, second) = max(seconds, 0).quotientAndRemainder(dividingBy: 60)
    let (hour, minute) = minutes.quotientAndRemainder(dividingBy: 60)
    if hour > 0 { return "\(hour)h\(minute)m\(second)s" }
    return minute > 0 ? "\(minute)m\(second)s" : "\(second)s"
  }
}
