public import ClusterModel

/// A host that may be asked, and for which of its models.
public struct Candidate: Hashable, Sendable {
  public var host: Host
  public var model: ModelID

  public init(host: Host, model: ModelID) {
    self.host = host
    self.model = model
  }
}

/// What a decision is made from.
public struct ClusterView: Sendable {
  public var table: HostTable
  /// Requests that this process has under way, by host.
  public var inFlight: [HostID: Int]

  public init(table: HostTable, inFlight: [HostID: Int] = [:]) {
    self.table = table
    self.inFlight = inFlight
  }
}

/// Which hosts may answer a request, and why each of the others may not.
public struct Eligibility: Sendable {
  public struct Refusal: Hashable, Sendable {
    public var host: HostID
    /// Follows the host's name in a sentence: "is suspended".
    public var reason: String
  }

  public private(set) var candidates: [Candidate] = []
  public private(set) var refusals: [Refusal] = []

  public init(model: ModelID?, constraints: InferenceConstraints, table: HostTable) {
    for host in table.hosts {
      if let reason = Self.refusal(of: host, model: model, constraints) {
        refusals.append(Refusal(host: host.id, reason: reason))
      } else if let chosen = model ?? Self.chatModel(of: host) {
        candidates.append(Candidate(host: host, model: chosen))
      }
    }
  }

  /// A sentence that says why nobody is left.
  public func explanation(model: ModelID?) -> String {
    let what = model.map { "model \($0)" } ?? "any chat model"
    guard !refusals.isEmpty else {
      return "no host can answer for \(what): no host is registered; add one with "
        + "`tutti hosts add URL`"
    }
    // An operator reads some lines, not a thousand.
    let shown = refusals.prefix(20).map { "\($0.host) \($0.reason)" }
    let more = refusals.count > 20 ? "; and \(refusals.count - 20) more" : ""
    return "no host can answer for \(what) now: \(shown.joined(separator: "; "))\(more)"
  }

  private static func refusal(
    of host: Host, model: ModelID?, _ constraints: InferenceConstraints
  ) -> String? {
    func because(_ text: String) -> String {
      host.reason.isEmpty ? text : "\(text) (\(host.reason))"
    }
    if let require = constraints.require, require != host.id { return "was not asked for" }
    if let model {
      guard host.models.isEmpty || host.offers(model) else { return "does not offer it" }
    }
    switch host.state {
    case .ready: break
    case .unknown: return because("has not been probed yet")
    case .unreachable: return because("is unreachable")
    case .suspended: return because("is suspended")
    }
    if let model, !host.offers(model) { return "does not offer it" }
    if model == nil, chatModel(of: host) == nil { return "offers no chat model" }
    guard host.trust >= constraints.dataPolicy else {
      return "may not see data of policy \"\(constraints.dataPolicy.rawValue)\""
    }
    return nil
  }

  private static func chatModel(of host: Host) -> ModelID? {
    host.models.first { $0.id.looksLikeChat }?.id
  }
}

/// Chooses one of several hosts that all may answer.
public enum HostChoice {
  /// The less busy of two drawn at random: nearly as good as the least busy of all, and processes
  /// that decide at the same moment do not all meet at one host.
  ///
  /// - Parameter seed: the only source of chance.
  public static func choose(
    from candidates: [Candidate], avoid: [HostID], affinity: [UInt8]?, inFlight: [HostID: Int],
    using rng: inout SplitMix64
  ) -> Candidate? {
    let community = candidates.filter { $0.host.tier == .community }
    let tier = community.isEmpty ? candidates : community
    let wanted = tier.filter { !avoid.contains($0.host.id) }
    var pool = wanted.isEmpty ? tier : wanted
    guard !pool.isEmpty else { return nil }

    let first = pool.remove(at: Int.random(in: 0..<pool.count, using: &rng))
    guard !pool.isEmpty else { return first }
    let second = pool[Int.random(in: 0..<pool.count, using: &rng)]
    let load = (inFlight[first.host.id] ?? 0, inFlight[second.host.id] ?? 0)
    if load.0 != load.1 { return load.0 < load.1 ? first : second }
    guard let affinity else { return first }
    return weight(affinity, first.host.id) >= weight(affinity, second.host.id) ? first : second
  }

  /// FNV-1a: the same on every machine, as `Hasher` is not.
  private static func weight(_ key: [UInt8], _ host: HostID) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    for byte in host.name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return hash
  }
}
