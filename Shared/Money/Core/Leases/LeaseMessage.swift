public import ClusterModel

/// A message from a gateway to the registry.
///
/// A message may be lost, repeated or reordered. So amounts are totals since the lease began, and
/// the receiver keeps the highest total.
public enum LeaseRequest: Hashable, Sendable {
  case ask(LeaseAsk)
  case giveBack(LeaseReturn)
  case settle(LeaseSettlement)
  case renew(LeaseRenewal)
}

/// Asks for more money for the first waiting request of a key, or for a reserve before a request
/// has to wait.
public struct LeaseAsk: Hashable, Sendable {
  public var lease: LeaseID
  public var key: AccountID
  /// Number of the ask within its lease. An ask with a higher number replaces earlier ones.
  public var number: UInt64
  /// Total granted so far, as the gateway knows it. If the gateway missed a grant, the amounts of
  /// the ask are out of date. The registry then sends the present total and does not judge the ask.
  public var granted: MicroCredits
  /// Total returned so far. With it, the ask is complete even if a `LeaseReturn` was lost.
  public var returned: MicroCredits
  /// Sum of the holds of running requests. Their bills may be lower.
  public var held: MicroCredits
  /// Money that the lease lacks for the lowest useful cost of the waiting request.
  public var minimum: MicroCredits
  /// Money that the lease lacks for the highest possible cost of the waiting request.
  public var worst: MicroCredits
  /// `worst` plus a reserve for other requests. The registry grants as much of the reserve as it
  /// can spare.
  public var want: MicroCredits
  /// Whether the waiting request's patience has ended. If so, the registry grants the money that is
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

  /// Whether the ask is for a reserve only, because no request waits.
  var isAhead: Bool { worst == .zero }

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
  /// Whether the lease ends. The gateway then has no holds from it, and all its settlements are
  /// confirmed.
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
  /// Number of the settlement within its gateway process, from 1 and without gaps.
  public var number: UInt64
  /// Number by which the gateway identifies the request.
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
  /// The registry has confirmed settlements up to this number.
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
  /// The ask is not granted, for example because the waiting request could not be paid even if all
  /// requests in flight cost nothing.
  case refused(LeaseID, ask: UInt64, LeaseRefusal)
  /// The ask waits. Usually the ceiling has too little left now, but requests in flight may cost
  /// less than their holds.
  case waiting(LeaseID, ask: UInt64, LeaseRefusal)
  /// Recalls all unused money of a lease, now and for the duration `LeaseTerms.frugality`.
  case recalled(LeaseID)
  /// Confirms a return.
  case returned(LeaseReturn)
  /// Confirms a renewal, and all settlements up to a number.
  case renewed(LeaseRenewal, settledThrough: UInt64)
  /// Confirms all settlements of the gateway up to this number, in answer to one of them.
  ///
  /// The answer goes to the sender. The sender may be a later process that repeats the settlements
  /// of a killed process.
  case settled(PeerID, through: UInt64)
  /// All leases of the gateway up to this number have ended.
  case ended(PeerID, through: UInt64)
  /// This lease has ended or was never known. The gateway must open another lease.
  case unknown(LeaseID)
}

/// Money for a lease.
public struct LeaseGrant: Hashable, Sendable {
  public var lease: LeaseID
  /// Number of the ask that this grant answers.
  public var ask: UInt64
  /// Sum of all grants of the lease, this one included.
  public var total: MicroCredits
  /// Whether the grant is less than the ask's `worst`, because no more money is left. If so, the
  /// waiting request starts with the money that the lease has.
  public var isRest: Bool
  /// The ceiling that has no more money, if the grant is less than the ask's `worst`. `nil` means
  /// that it is not known.
  public var ceiling: Ceiling?

  public init(
    lease: LeaseID, ask: UInt64, total: MicroCredits, isRest: Bool = false,
    ceiling: Ceiling? = nil
  ) {
    self.lease = lease
    self.ask = ask
    self.total = total
    self.isRest = isRest
    self.ceiling = ceiling
  }
}

/// Reason why the registry does not grant an ask, or does not grant it yet.
public enum LeaseRefusal: Hashable, Sendable {
  /// A ceiling has too little money left.
  case ceiling(Ceiling)
  /// The key is unknown or was revoked.
  case key
  /// The ask is not valid, for example because of a negative amount.
  case invalid
  /// The registry already has the maximum number of leases.
  case tooManyLeases
}
