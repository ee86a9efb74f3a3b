public import ClusterModel
import Limits
public import Money

/// The part of an answer that has reached the client, and the hosts that it came from.
public struct DeliveredAnswer: Hashable, Sendable {
  /// The text of one host, up to the place at which another host resumed it.
  private struct Part: Hashable {
    let host: HostID
    /// The host's own name of the model.
    let hostModel: ModelID
    let tier: HostTier
    /// Completion tokens that were written to the client's socket.
    var tokens = 0
  }

  /// The model as clients name it. `nil` means that no host has answered yet.
  private(set) var model: ModelID?
  /// Completion tokens that were written to the client's socket.
  public private(set) var tokens = 0
  /// Parts of the answer in order. Only the last part may have no tokens.
  private var parts: [Part] = []

  public init() {}

  /// Records the host that begins or resumes the answer.
  public mutating func begin(
    by host: HostID, _ model: ModelID, as hostModel: ModelID, tier: HostTier
  ) {
    self.model = model
    if parts.last?.tokens == 0 { parts.removeLast() }
    parts.append(Part(host: host, hostModel: hostModel, tier: tier))
  }

  /// Records all tokens that were written to the client's socket so far.
  public mutating func wrote(_ tokens: Int) {
    let more = max(0, tokens - self.tokens)
    self.tokens += more
    if !parts.isEmpty { parts[parts.count - 1].tokens += more }
  }

  /// Role of the host that answers now. `nil` means that no host has answered yet.
  public var role: BilledAttempt.Role? { parts.indices.last.map(role(ofPart:)) }

  /// Tokens of the host that answers now, summed over all its parts with the same model.
  public var tokensOfHost: Int {
    guard let last = parts.last else { return 0 }
    return parts.reduce(0) {
      $0 + ($1.host == last.host && $1.hostModel == last.hostModel ? $1.tokens : 0)
    }
  }

  /// The hosts' attempts, for the bill. Each host before the last one broke off.
  /// - Parameter usage: tokens of the answer. The cached tokens are those of its first host.
  func attempts(of usage: TokenUsage) -> [SettledAttempt] {
    let delivered = parts.indices.filter { parts[$0].tokens > 0 }
    return delivered.suffix(Limits.billedAttempts.value).map { index in
      let part = parts[index]
      let role = index == delivered.last ? role(ofPart: index) : .failed
      let made = Int64(Usage.bounded(part.tokens))
      return SettledAttempt(
        host: part.host, model: part.hostModel, usage: role.usage(in: usage, made: made),
        contributed: made, role: role)
    }
  }

  private func role(ofPart index: Int) -> BilledAttempt.Role {
    guard index > 0 else { return .winner }
    return parts[index].tier == .fallback ? .fallback : .continued
  }
}
