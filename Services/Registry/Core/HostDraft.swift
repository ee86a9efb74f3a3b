public import ClusterModel

/// An admin's description of a new host.
public struct HostDraft: Equatable, Sendable {
  public var url: String
  /// `nil` means that the id is made from the URL.
  public var id: HostID?
  /// `nil` means that the dialect is learned from the host's answers.
  var dialect: HostDialect?
  /// `nil` means that the resume way is learned from the host's answers.
  var resume: ResumeWay?
  /// Reference to the host's secret, `env:NAME` or `file:/path`. `nil` means that the host needs no
  /// secret.
  var credential: String?
  /// Whether the credential may be sent to another machine without encryption.
  var allowsPlainHTTP: Bool
  var tier: HostTier
  var trust: DataPolicy
  /// Maximum concurrent requests. `nil` means that the host's report applies.
  public var slots: Int?
  /// `nil` means that no price is stated.
  public var price: HostPrice?
  /// Models that the host offers. An empty list means the host's own list.
  public var models: [ModelID]
  var tags: [String]
  /// `nil` means that no region is named.
  var region: String?

  public init(
    url: String, id: HostID? = nil, dialect: HostDialect? = nil, resume: ResumeWay? = nil,
    credential: String? = nil, allowsPlainHTTP: Bool = false, tier: HostTier = .community,
    trust: DataPolicy = .any, slots: Int? = nil, price: HostPrice? = nil,
    models: [ModelID] = [], tags: [String] = [], region: String? = nil
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
    self.price = price
    self.models = models
    self.tags = tags
    self.region = region
  }
}

/// An admin's changes to a host. `nil` leaves a value unchanged.
public struct HostPatch: Equatable, Sendable {
  /// A change of a value that can also be learned from the host.
  public enum Change<Value: Equatable & Sendable>: Equatable, Sendable {
    case unchanged
    /// The value is learned from the host's answers again. A credential, a region or a price is
    /// removed, because it cannot be learned.
    case learned
    case value(Value)

    /// `nil` means that no value is named.
    public var newValue: Value? { if case .value(let value) = self { value } else { nil } }

    /// The value after the change. `nil` means that the host has none.
    func applied(to value: Value?) -> Value? {
      switch self {
      case .unchanged: value
      case .learned: nil
      case .value(let value): value
      }
    }
  }

  var dialect: Change<HostDialect>
  var resume: Change<ResumeWay>
  var credential: Change<String>
  /// Whether the credential may be sent to another machine without encryption.
  var allowsPlainHTTP: Bool
  var tier: HostTier?
  var trust: DataPolicy?
  public var slots: Change<Int>
  /// Price of prompt tokens, as in `HostPrice.input`. A host has both prices or none.
  var inputPrice: Change<Int64>
  var outputPrice: Change<Int64>
  var models: Change<[ModelID]>
  var tags: [String]?
  var region: Change<String>

  /// Whether a probe may have another result after the change.
  var concernsProbes: Bool {
    dialect != .unchanged || resume != .unchanged || credential != .unchanged
      || models != .unchanged || slots == .learned
  }

  public init(
    dialect: Change<HostDialect> = .unchanged, resume: Change<ResumeWay> = .unchanged,
    credential: Change<String> = .unchanged, allowsPlainHTTP: Bool = false,
    tier: HostTier? = nil, trust: DataPolicy? = nil, slots: Change<Int> = .unchanged,
    inputPrice: Change<Int64> = .unchanged, outputPrice: Change<Int64> = .unchanged,
    models: Change<[ModelID]> = .unchanged, tags: [String]? = nil,
    region: Change<String> = .unchanged
  ) {
    self.dialect = dialect
    self.resume = resume
    self.credential = credential
    self.allowsPlainHTTP = allowsPlainHTTP
    self.tier = tier
    self.trust = trust
    self.slots = slots
    self.inputPrice = inputPrice
    self.outputPrice = outputPrice
    self.models = models
    self.tags = tags
    self.region = region
  }
}

extension HostPrice {
  /// Makes a price of two prices that are stated separately.
  ///
  /// - Returns: `nil` if none is stated.
  /// - Throws: `invalidRequest` if only one is stated, or if one is outside 0 … `highest`.
  public static func stated(input: Int64?, output: Int64?) throws(Failure) -> HostPrice? {
    guard let input, let output else {
      guard input == nil, output == nil else {
        throw Failure(
          .invalidRequest,
          "price_input and price_output belong together: state both prices, or none.",
          param: input == nil ? "price_input" : "price_output")
      }
      return nil
    }
    for (price, name) in [(input, "price_input"), (output, "price_output")] {
      guard (0...highest).contains(price) else {
        throw Failure(
          .invalidRequest, "\(name) must be from 0 to 1,000,000,000 credits per million tokens.",
          param: name)
      }
    }
    return HostPrice(input: input, output: output)
  }
}
