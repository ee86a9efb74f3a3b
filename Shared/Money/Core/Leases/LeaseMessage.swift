public import ClusterModel

/// A message from a gateway to the registry.
///
/// Each may be lost, repeated and reordered: amounts are totals since the lease began, and the
/// receiver keeps the highest.
public enum LeaseRequest: Hashable, Sendable {
  case ask(LeaseAsk)
  case giveBack(LeaseReturn)
  case settle(LeaseSettlement)
  case renew(LeaseRenewal)
}

/// Asks for more money for the first waiting request of a key.
public struct LeaseAsk: Hashable, Sendable {
  public var lease: LeaseID
  public var key: AccountID
  /// Counts the asks of a lease. A later ask replaces an earlier one.
  public var number: UInt64
  /// Total granted so far, as the gateway knows it. If the gateway missed a grant, the amounts of
  /// the ask are out of date, and the registry sends that grant again instead of deciding.
  public var granted: MicroCredits
  /// Total returned so far. The ask is thus complete even if a `LeaseReturn` was lost.
  public var returned: MicroCredits
  /// Sum of the holds of running requests, which may turn out too high.
  public var held: MicroCredits
  /// Missing for the prompt and one token of the waiting request.
  public var minimum: MicroCredits
  /// Missing for everything that the waiting request can cost.
  public var worst: MicroCredits
  /// `worst` plus a reserve for later requests, as far as money is left.
  public var want: MicroCredits
  /// Whether the waiting request's patience has ended. The registry then grants the money that is
  /// left now, or refuses the ask.
  public var isLastCall: Bool

  public init(
    lease: LeaseID, key: AccountID, number: UInt64, granted: MicroCredits = .zero,
    returned: MicroCredits = .zero, held: MicroCredits = .zero, minimum: MicroCredits,
    worst: MicroCredits, want: MicroCredits,
    isLastCall: Bool = false
  ) {
    self.lease = lease
    self.key = key
    self.number = number
    self.granted = granted
    self.returned = returned
    self.held = held
    self.minimum = minimum
    self.worst = worst
    self.want = want
    self.isLastCall = isLastCall
  }

  /// Whether no amount is negative and `minimum <= worst <= want`.
  var isValid: Bool {
    granted >= .zero && returned >= .zero && held >= .zero && minimum >= .zero && minimum <= worst
      && worst <= want
  }
}

/// Returns unused money of a lease, or ends the lease.
public struct LeaseReturn: Hashable, Sendable {
  public var lease: LeaseID
  /// Total returned so far.
  public var returned: MicroCredits
  /// Asks up to this number were withdrawn and need no answer.
  public var withdrawn: UInt64
  /// Ends the lease. The gateway has no holds from it, and all its settlements were confirmed.
  public var closes: Bool

  public init(lease: LeaseID, returned: MicroCredits, withdrawn: UInt64 = 0, closes: Bool = false) {
    self.lease = lease
    self.returned = returned
    self.withdrawn = withdrawn
    self.closes = closes
  }
}

/// Bills a request from its lease. The unused part of its hold stays in the lease.
public struct LeaseSettlement: Hashable, Sendable {
  public var lease: LeaseID
  public var key: AccountID
  /// Counts the settlements of a gateway process, from 1 and without gaps.
  public var number: UInt64
  /// The gateway's number of the request.
  public var request: UInt64
  public var hold: MicroCredits
  public var billed: MicroCredits

  public init(
    lease: LeaseID, key: AccountID, number: UInt64, request: UInt64, hold: MicroCredits,
    billed: MicroCredits
  ) {
    self.lease = lease
    self.key = key
    self.number = number
    self.request = request
    self.hold = hold
    self.billed = billed
  }
}

/// Renews all leases of a gateway.
public struct LeaseRenewal: Hashable, Sendable {
  public var gateway: PeerID
  public var number: UInt64
  /// Lowest lease number that the gateway still uses. Leases below it end.
  public var oldest: UInt64
  /// Settlements up to this number were confirmed to the gateway.
  public var confirmed: UInt64

  public init(gateway: PeerID, number: UInt64, oldest: UInt64, confirmed: UInt64) {
    self.gateway = gateway
    self.number = number
    self.oldest = oldest
    self.confirmed = confirmed
  }
}

/// A message from the registry to a gateway.
public enum LeaseAnswer: Hashable, Sendable {
  case granted(LeaseGrant)
  /// The waiting request cannot be paid, whatever the requests in flight will cost.
  case refused(LeaseID, ask: UInt64, LeaseRefusal)
  /// The ceiling has too little left now, but requests in flight may cost less than their holds.
  case waiting(LeaseID, ask: UInt64, LeaseRefusal)
  /// Asks for all unused money of a lease, now and for `LeaseTerms.frugality`.
  case recalled(LeaseID)
  /// Confirms a return.
  case returned(LeaseReturn)
  /// Confirms a renewal, and all settlements up to a number.
  case renewed(LeaseRenewal, settledThrough: UInt64)
  /// Answers a repeated settlement: all settlements of the gateway up to this number are recorded.
  ///
  /// The answer goes to the sender, which may be a later process that repeats the settlements of
  /// a killed one.
  case settled(PeerID, through: UInt64)
  /// All leases of the gateway up to this number have ended.
  case ended(PeerID, through: UInt64)
  /// This lease has ended or was never known. The gateway opens another one.
  case unknown(LeaseID)
}

/// Money for a lease.
public struct LeaseGrant: Hashable, Sendable {
  public var lease: LeaseID
  /// The ask that this answers.
  public var ask: UInt64
  /// All that was ever granted to the lease.
  public var total: MicroCredits
  /// Whether the grant is less than the ask's `worst`, because no more money is left. The waiting
  /// request then starts with the money that the lease has.
  public var isRest: Bool

  public init(lease: LeaseID, ask: UInt64, total: MicroCredits, isRest: Bool = false) {
    self.lease = lease
    self.ask = ask
    self.total = total
    self.isRest = isRest
  }
}

/// Why the registry grants nothing.
public enum LeaseRefusal: Hashable, Sendable {
  /// A ceiling has too little left.
  case ceiling(Ceiling)
  /// The key is unknown or was revoked.
  case key
  /// The message makes no sense, for example a negative amount.
  case invalid
  /// The registry has as many leases as it may have.
  case tooManyLeases
}
