public import ClusterModel

/// Requirements of a request or a task on the host that answers it.
///
/// `refusal(of:in:rules:)` is the one rule that decides whether a host may serve. `HostIndex` and
/// `Eligibility` of InferenceCore compute the same results from tables that are built once per
/// revision. A test checks that they agree with the rule.
public struct HostNeed: Hashable, Sendable {
  /// Requirement on the models that the host offers.
  public enum Models: Hashable, Sendable {
    /// The host may offer any models, or none.
    case any
    case anyChat
    case anyEmbedding
    case oneOf([ModelID])
  }

  public enum Horizon: Hashable, Sendable {
    /// The host is to be asked now, so it must be able to serve now.
    case immediate
    /// The host is to be asked at some time before the request ends. A host that is unreachable now
    /// may be reachable then.
    case later
  }

  public var models: Models
  var dataPolicy: DataPolicy
  /// Host pools of the client's key.
  var pools: HostPools
  /// The only host that may answer. `nil` means any host.
  var required: HostID?
  var horizon: Horizon

  public init(
    _ models: Models = .anyChat, dataPolicy: DataPolicy = .any, pools: HostPools = .all,
    required: HostID? = nil, horizon: Horizon = .immediate
  ) {
    self.models = models
    self.dataPolicy = dataPolicy
    self.pools = pools
    self.required = required
    self.horizon = horizon
  }

  /// Longest silence of a host that may still be asked. It exceeds the longest backoff of probes.
  public static let longestSilence = Duration.seconds(90)

  /// Why the host may not serve. `nil` means that it may.
  ///
  /// Lasting reasons take precedence. For example, a suspended host that offers none of the named
  /// models is refused for its models, because its resumption would not help.
  public func refusal(
    of host: Host, in activity: HostActivity = HostActivity(),
    rules: EligibilityRules = EligibilityRules()
  ) -> Refusal? {
    if let required, required != host.id { return .notRequired }
    // A host without models is usually not ready, so its state is the better reason.
    if case .oneOf = models, !host.models.isEmpty, !isOffered(by: host) { return .notOffered }
    guard pools.admits(tags: host.tags) else { return .outsidePools(pools) }
    if let refusal = refusal(ofState: host) { return refusal }
    guard isOffered(by: host) else { return missingModel }
    if let refusal = rules.refusal(of: host) { return refusal }
    guard host.trust >= dataPolicy else { return .untrusted(dataPolicy) }
    guard horizon == .immediate else { return nil }
    if activity.isBreakerOpen { return .breakerOpen }
    if activity.isClosedToClient { return .closedToClient }
    if let silence = activity.silence, silence > Self.longestSilence { return .silent(silence) }
    return nil
  }

  private func refusal(ofState host: Host) -> Refusal? {
    switch (host.state, horizon) {
    case (.ready, _), (.unknown, .later), (.unreachable, .later): nil
    case (.unknown, .immediate): .notProbed(host.reason)
    case (.unreachable, .immediate): .unreachable(host.reason)
    case (.suspended, _): .suspended(host.reason)
    }
  }

  private func isOffered(by host: Host) -> Bool {
    switch models {
    case .any: true
    case .anyChat: host.models.contains(where: \.isChat)
    case .anyEmbedding: host.models.contains(where: \.isEmbedding)
    case .oneOf(let models): models.contains { host.offers($0) }
    }
  }

  private var missingModel: Refusal {
    switch models {
    case .any, .oneOf: .notOffered
    case .anyChat: .noChatModel
    case .anyEmbedding: .noEmbeddingModel
    }
  }
}

extension HostNeed {
  /// Why a host may not serve.
  public enum Refusal: Hashable, Sendable, CustomStringConvertible {
    case notRequired
    case notOffered
    case noChatModel
    case noEmbeddingModel
    /// The text is the reason in the host table, which may be empty.
    case notProbed(String)
    case unreachable(String)
    case suspended(String)
    case tooOld(version: String, minimum: String)
    case untrusted(DataPolicy)
    /// The host has no tag that is in one of the host pools of the client's key.
    case outsidePools(HostPools)
    case breakerOpen
    case closedToClient
    case silent(Duration)

    /// Text that follows the host's name in a sentence, for example "is suspended".
    public var description: String {
      func because(_ text: String, _ reason: String) -> String {
        reason.isEmpty ? text : "\(text) (\(reason))"
      }
      return switch self {
      case .notRequired: "is not the required host"
      case .notOffered: "does not offer it"
      case .noChatModel: "offers no chat model"
      case .noEmbeddingModel: "offers no embedding model"
      case .notProbed(let reason): because("has not been probed yet", reason)
      case .unreachable(let reason): because("is unreachable", reason)
      case .suspended(let reason): because("is suspended", reason)
      case .tooOld(let version, let minimum): "runs \(version), older than \(minimum)"
      case .untrusted(let policy): "may not see data of policy \"\(policy.rawValue)\""
      case .outsidePools(let pools): "is in none of the key's host pools (\(pools.summary))"
      case .breakerOpen: "failed several requests in a row and is skipped for a while"
      case .closedToClient:
        "failed several requests of this client in a row and is skipped for a while"
      case .silent(let time): "has not answered for \(time.wholeMilliseconds / 1_000) s"
      }
    }

    /// Whether the host lacks a model that the need accepts. If so, a change of the host's state
    /// does not help.
    public var isOfModels: Bool {
      switch self {
      case .notOffered, .noChatModel, .noEmbeddingModel: true
      case .notRequired, .notProbed, .unreachable, .suspended, .tooOld, .untrusted, .outsidePools,
        .breakerOpen, .closedToClient, .silent:
        false
      }
    }

    /// Whether the reason can end without a change of the host table. `infer()` asks such hosts if
    /// no other host is left.
    public var isPassing: Bool {
      switch self {
      case .breakerOpen, .closedToClient, .silent: true
      case .notRequired, .notOffered, .noChatModel, .noEmbeddingModel, .notProbed, .unreachable,
        .suspended, .tooOld, .untrusted, .outsidePools:
        false
      }
    }
  }
}
