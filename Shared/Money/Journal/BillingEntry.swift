public import ClusterModel
public import Money

/// An admitted request with the facts that its settlement needs.
public struct BilledRequest: Hashable, Sendable {
  public let id: String
  /// Public id of the key that pays.
  public let keyID: String
  /// Lease from which the hold was taken.
  public let leaseID: String
  public let model: ModelID
  /// Time of the admission, in milliseconds since 1970. Prices in force at this time apply.
  public let admittedAt: Int64
  /// Price of a million prompt tokens. The other two prices are also per million tokens.
  public let inputPrice: MicroCredits
  public let cachedInputPrice: MicroCredits
  public let outputPrice: MicroCredits
  /// Money reserved for the request.
  public let hold: MicroCredits

  public init(
    id: String, keyID: String, leaseID: String, model: ModelID, admittedAt: Int64,
    inputPrice: MicroCredits, cachedInputPrice: MicroCredits, outputPrice: MicroCredits,
    hold: MicroCredits
  ) {
    self.id = id
    self.keyID = keyID
    self.leaseID = leaseID
    self.model = model
    self.admittedAt = admittedAt
    self.inputPrice = inputPrice
    self.cachedInputPrice = cachedInputPrice
    self.outputPrice = outputPrice
    self.hold = hold
  }
}

/// Tokens of one host for one request.
public struct HostTokens: Hashable, Sendable {
  public let host: HostID
  /// The host's own name of the model, whose price the host is paid. `nil` means that the names are
  /// too long for the journal.
  public let model: ModelID?
  public let role: BilledAttempt.Role
  /// Tokens that the host generated.
  public let made: Int
  /// Generated tokens that became part of the client's answer.
  public let contributed: Int

  public init(
    host: HostID, model: ModelID?, role: BilledAttempt.Role, made: Int, contributed: Int
  ) {
    self.host = host
    self.model = model
    self.role = role
    self.made = made
    self.contributed = contributed
  }
}

/// The bill of an answer that has ended, which the registry has not acknowledged.
public struct UnconfirmedBill: Hashable, Sendable {
  let billed: MicroCredits
  let promptTokens: Int
  let cachedTokens: Int
  let completionTokens: Int
  /// Hosts with their roles. The journal leaves out hosts for which it has no room.
  let hosts: [HostTokens]

  public init(
    billed: MicroCredits, promptTokens: Int, cachedTokens: Int, completionTokens: Int,
    hosts: [HostTokens]
  ) {
    self.billed = billed
    self.promptTokens = promptTokens
    self.cachedTokens = cachedTokens
    self.completionTokens = completionTokens
    self.hosts = hosts
  }
}

/// A request and its tokens, as recorded in the journal.
public struct BillingEntry: Hashable, Sendable {
  public enum State: Hashable, Sendable {
    /// The answer had not ended when its process died. The next process gets the entry in this
    /// state, and writes it to the new file as finished.
    case running
    /// The answer ended. The registry has not acknowledged the settlement.
    case finished
  }

  public let request: BilledRequest
  /// Incarnation of the process that admitted the request.
  public let incarnation: UInt64
  public let state: State
  /// Number of the settlement, which is the same in every repetition. 0 means that the entry has
  /// none yet.
  public internal(set) var settlement: UInt64
  public let promptTokens: Int
  /// The part of the prompt that a host had in its cache.
  public let cachedTokens: Int
  /// Completion tokens of the bill. Without a bill, those that were written to the client's socket.
  public let completionTokens: Int
  /// The bill of an answer that has ended. `nil` means that the bill is computed from the tokens.
  public let billed: MicroCredits?
  public let hosts: [HostTokens]

  public init(
    request: BilledRequest, incarnation: UInt64, state: State, settlement: UInt64 = 0,
    promptTokens: Int = 0, cachedTokens: Int = 0, completionTokens: Int = 0,
    billed: MicroCredits? = nil, hosts: [HostTokens] = []
  ) {
    self.request = request
    self.incarnation = incarnation
    self.state = state
    self.settlement = settlement
    self.promptTokens = promptTokens
    self.cachedTokens = cachedTokens
    self.completionTokens = completionTokens
    self.billed = billed
    self.hosts = hosts
  }
}

/// Reason why the journal does not take a request.
public enum BillingRefusal: Error, Hashable, Sendable {
  /// Every slot holds an answer that is running or waits for the registry's acknowledgement.
  case full
  /// The journal already holds a request with this id.
  case duplicate
  /// The id, key, lease and model together do not fit into a slot.
  case textTooLong
}
