public import ClusterModel

/// What an admin says about a new host.
public struct HostDraft: Equatable, Sendable {
  public var url: String
  /// Nil: made from the host and port of the URL.
  public var id: HostID?
  /// Nil: learned from the host's answers.
  public var dialect: HostDialect?
  /// Nil: learned from the host's answers.
  public var resume: ResumeWay?
  /// `env:NAME` or `file:/path`; nil: the host asks for none.
  public var credential: String?
  /// The credential may be sent to another machine without encryption.
  public var allowsPlainHTTP: Bool
  public var tier: HostTier
  public var trust: DataPolicy
  /// Nil: as the host reports.
  public var slots: Int?
  /// Credits for a million tokens; 0 is free.
  public var pricePerMillion: Int
  /// What it offers; empty: as it lists.
  public var models: [ModelID]

  public init(
    url: String, id: HostID? = nil, dialect: HostDialect? = nil, resume: ResumeWay? = nil,
    credential: String? = nil, allowsPlainHTTP: Bool = false, tier: HostTier = .community,
    trust: DataPolicy = .any, slots: Int? = nil, pricePerMillion: Int = 0,
    models: [ModelID] = []
  ) {
    self.url = url
    self.id = id
    self.dialect = dialect
    self.resume = resume
    self.credential = credential
    self.allowsPlainHTTP = allowsPlainHTTP
    self.tier = tier
    self.trust = trust
    self.slots = slots
    self.pricePerMillion = pricePerMillion
    self.models = models
  }
}

/// What an admin changes; nil leaves it.
public struct HostPatch: Equatable, Sendable {
  /// A change of what can also be left to the host.
  public enum Change<Value: Equatable & Sendable>: Equatable, Sendable {
    case unchanged
    /// From now on as the host's answers show; of a credential: none.
    case learned
    case value(Value)
  }

  public var dialect: Change<HostDialect>
  public var resume: Change<ResumeWay>
  public var credential: Change<String>
  /// The credential may be sent to another machine without encryption.
  public var allowsPlainHTTP: Bool
  public var tier: HostTier?
  public var trust: DataPolicy?
  public var slots: Int?
  public var pricePerMillion: Int?
  public var models: Change<[ModelID]>

  public init(
    dialect: Change<HostDialect> = .unchanged, resume: Change<ResumeWay> = .unchanged,
    credential: Change<String> = .unchanged, allowsPlainHTTP: Bool = false,
    tier: HostTier? = nil, trust: DataPolicy? = nil, slots: Int? = nil,
    pricePerMillion: Int? = nil, models: Change<[ModelID]> = .unchanged
  ) {
    self.dialect = dialect
    self.resume = resume
    self.credential = credential
    self.allowsPlainHTTP = allowsPlainHTTP
    self.tier = tier
    self.trust = trust
    self.slots = slots
    self.pricePerMillion = pricePerMillion
    self.models = models
  }
}
