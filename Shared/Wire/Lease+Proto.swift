import CProtobufC
import ClusterModel
import ClusterProto
import Money

extension Arena {
  func leaseRequest(_ request: LeaseRequest) -> UnsafeMutablePointer<Tutti__V1__LeaseRequest> {
    let message = unsafe make(tutti__v1__lease_request__init)
    switch request {
    case .ask(let ask):
      unsafe message.pointee.request_case = TUTTI__V1__LEASE_REQUEST__REQUEST_ASK
      unsafe message.pointee.ask = leaseAsk(ask)
    case .giveBack(let giveBack):
      unsafe message.pointee.request_case = TUTTI__V1__LEASE_REQUEST__REQUEST_GIVE_BACK
      unsafe message.pointee.give_back = leaseReturn(giveBack)
    case .settle(let settlement):
      unsafe message.pointee.request_case = TUTTI__V1__LEASE_REQUEST__REQUEST_SETTLE
      unsafe message.pointee.settle = leaseSettlement(settlement)
    case .renew(let renewal):
      unsafe message.pointee.request_case = TUTTI__V1__LEASE_REQUEST__REQUEST_RENEW
      unsafe message.pointee.renew = leaseRenewal(renewal)
    }
    return unsafe message
  }

  func leaseAnswer(_ answer: LeaseAnswer) -> UnsafeMutablePointer<Tutti__V1__LeaseAnswer> {
    let message = unsafe make(tutti__v1__lease_answer__init)
    switch answer {
    case .granted(let grant):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_GRANTED
      unsafe message.pointee.granted = leaseGrant(grant)
    case .refused(let lease, let ask, let refusal):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_REFUSED
      unsafe message.pointee.refused = leaseRefusal(lease, ask: ask, refusal)
    case .waiting(let lease, let ask, let refusal):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_WAITING
      unsafe message.pointee.waiting = leaseRefusal(lease, ask: ask, refusal)
    case .recalled(let lease):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_RECALLED
      unsafe message.pointee.recalled = leaseName(lease)
    case .returned(let giveBack):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_RETURNED
      unsafe message.pointee.returned = leaseReturn(giveBack)
    case .renewed(let renewal, let through):
      let renewed = unsafe make(tutti__v1__lease_renewed__init)
      unsafe renewed.pointee.renewal = leaseRenewal(renewal)
      unsafe renewed.pointee.settled_through = through
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_RENEWED
      unsafe message.pointee.renewed = renewed
    case .settled(let gateway, let through):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_SETTLED
      unsafe message.pointee.settled = leaseProgress(gateway, through: through)
    case .ended(let gateway, let through):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_ENDED
      unsafe message.pointee.ended = leaseProgress(gateway, through: through)
    case .unknown(let lease):
      unsafe message.pointee.answer_case = TUTTI__V1__LEASE_ANSWER__ANSWER_UNKNOWN
      unsafe message.pointee.unknown = leaseName(lease)
    }
    return unsafe message
  }

  func leaseSettlement(
    _ settlement: LeaseSettlement
  ) -> UnsafeMutablePointer<Tutti__V1__LeaseSettlement> {
    let message = unsafe make(tutti__v1__lease_settlement__init)
    unsafe message.pointee.lease = leaseName(settlement.lease)
    unsafe message.pointee.key = text(settlement.key.name)
    unsafe message.pointee.number = settlement.number
    unsafe message.pointee.request = settlement.request
    unsafe message.pointee.hold = settlement.hold.count
    unsafe message.pointee.billed = settlement.billed.count
    return unsafe message
  }

  private func leaseName(_ lease: LeaseID) -> UnsafeMutablePointer<Tutti__V1__LeaseName> {
    let message = unsafe make(tutti__v1__lease_name__init)
    unsafe message.pointee.gateway = text(lease.gateway.name)
    unsafe message.pointee.incarnation = lease.gateway.incarnation
    unsafe message.pointee.number = lease.number
    return unsafe message
  }

  private func leaseAsk(_ ask: LeaseAsk) -> UnsafeMutablePointer<Tutti__V1__LeaseAsk> {
    let message = unsafe make(tutti__v1__lease_ask__init)
    unsafe message.pointee.lease = leaseName(ask.lease)
    unsafe message.pointee.key = text(ask.key.name)
    unsafe message.pointee.number = ask.number
    unsafe message.pointee.granted = ask.granted.count
    unsafe message.pointee.returned = ask.returned.count
    unsafe message.pointee.held = ask.held.count
    unsafe message.pointee.minimum = ask.minimum.count
    unsafe message.pointee.worst = ask.worst.count
    unsafe message.pointee.want = ask.want.count
    unsafe message.pointee.is_last_call = ask.isLastCall ? 1 : 0
    return unsafe message
  }

  private func leaseReturn(
    _ giveBack: LeaseReturn
  ) -> UnsafeMutablePointer<Tutti__V1__LeaseReturn> {
    let message = unsafe make(tutti__v1__lease_return__init)
    unsafe message.pointee.lease = leaseName(giveBack.lease)
    unsafe message.pointee.returned = giveBack.returned.count
    unsafe message.pointee.withdrawn = giveBack.withdrawn
    unsafe message.pointee.closes = giveBack.closes ? 1 : 0
    return unsafe message
  }

  private func leaseRenewal(
    _ renewal: LeaseRenewal
  ) -> UnsafeMutablePointer<Tutti__V1__LeaseRenewal> {
    let message = unsafe make(tutti__v1__lease_renewal__init)
    unsafe message.pointee.gateway = text(renewal.gateway.name)
    unsafe message.pointee.incarnation = renewal.gateway.incarnation
    unsafe message.pointee.number = renewal.number
    unsafe message.pointee.oldest = renewal.oldest
    unsafe message.pointee.confirmed = renewal.confirmed
    return unsafe message
  }

  private func leaseGrant(_ grant: LeaseGrant) -> UnsafeMutablePointer<Tutti__V1__LeaseGrant> {
    let message = unsafe make(tutti__v1__lease_grant__init)
    unsafe message.pointee.lease = leaseName(grant.lease)
    unsafe message.pointee.ask = grant.ask
    unsafe message.pointee.total = grant.total.count
    unsafe message.pointee.is_rest = grant.isRest ? 1 : 0
    if let ceiling = grant.ceiling { unsafe message.pointee.ceiling = self.ceiling(ceiling) }
    return unsafe message
  }

  private func leaseRefusal(
    _ lease: LeaseID, ask: UInt64, _ refusal: LeaseRefusal
  ) -> UnsafeMutablePointer<Tutti__V1__LeaseRefusal> {
    let message = unsafe make(tutti__v1__lease_refusal__init)
    unsafe message.pointee.lease = leaseName(lease)
    unsafe message.pointee.ask = ask
    unsafe message.pointee.reason = text(refusal.reason)
    if case .ceiling(let ceiling) = refusal {
      unsafe message.pointee.ceiling = self.ceiling(ceiling)
    }
    return unsafe message
  }

  private func ceiling(_ ceiling: Ceiling) -> UnsafeMutablePointer<Tutti__V1__Ceiling> {
    let message = unsafe make(tutti__v1__ceiling__init)
    unsafe message.pointee.id = text(ceiling.id.name)
    unsafe message.pointee.remaining = ceiling.remaining.count
    unsafe message.pointee.has_reset = ceiling.resetsAt == nil ? 0 : 1
    unsafe message.pointee.resets_at_ms = ceiling.resetsAt ?? 0
    return unsafe message
  }

  private func leaseProgress(
    _ gateway: PeerID, through: UInt64
  ) -> UnsafeMutablePointer<Tutti__V1__LeaseProgress> {
    let message = unsafe make(tutti__v1__lease_progress__init)
    unsafe message.pointee.gateway = text(gateway.name)
    unsafe message.pointee.incarnation = gateway.incarnation
    unsafe message.pointee.through = through
    return unsafe message
  }
}

extension LeaseRefusal {
  fileprivate var reason: String {
    switch self {
    case .ceiling: "ceiling"
    case .key: "key"
    case .invalid: "invalid"
    case .tooManyLeases: "too_many_leases"
    }
  }
}

extension LeaseRequest {
  init(wire message: Tutti__V1__LeaseRequest) throws(WireError) {
    switch unsafe message.request_case {
    case TUTTI__V1__LEASE_REQUEST__REQUEST_ASK:
      self = .ask(
        try unsafe required(message.ask, "LeaseRequest.ask") { value throws(WireError) in
          try unsafe LeaseAsk(wire: value)
        })
    case TUTTI__V1__LEASE_REQUEST__REQUEST_GIVE_BACK:
      self = .giveBack(
        try unsafe required(message.give_back, "LeaseRequest.give_back") {
          value throws(WireError) in try unsafe LeaseReturn(wire: value)
        })
    case TUTTI__V1__LEASE_REQUEST__REQUEST_SETTLE:
      self = .settle(
        try unsafe required(message.settle, "LeaseRequest.settle") { value throws(WireError) in
          try unsafe LeaseSettlement(wire: value)
        })
    case TUTTI__V1__LEASE_REQUEST__REQUEST_RENEW:
      self = .renew(
        try unsafe required(message.renew, "LeaseRequest.renew") { value throws(WireError) in
          try unsafe LeaseRenewal(wire: value)
        })
    default: throw .unknownValue(field: "LeaseRequest.request")
    }
  }
}

extension LeaseAnswer {
  init(wire message: Tutti__V1__LeaseAnswer) throws(WireError) {
    switch unsafe message.answer_case {
    case TUTTI__V1__LEASE_ANSWER__ANSWER_GRANTED:
      self = .granted(
        try unsafe required(message.granted, "LeaseAnswer.granted") { value throws(WireError) in
          LeaseGrant(
            lease: try unsafe leaseID(value.lease, "LeaseGrant.lease"), ask: unsafe value.ask,
            total: try MicroCredits(wire: unsafe value.total, "LeaseGrant.total"),
            isRest: unsafe value.is_rest != 0,
            ceiling: unsafe value.ceiling == nil
              ? nil : try unsafe readCeiling(value.ceiling, "LeaseGrant.ceiling"))
        })
    case TUTTI__V1__LEASE_ANSWER__ANSWER_REFUSED:
      self = try unsafe required(message.refused, "LeaseAnswer.refused") {
        value throws(WireError) in
        .refused(
          try unsafe leaseID(value.lease, "LeaseRefusal.lease"), ask: unsafe value.ask,
          try unsafe LeaseRefusal(wire: value))
      }
    case TUTTI__V1__LEASE_ANSWER__ANSWER_WAITING:
      self = try unsafe required(message.waiting, "LeaseAnswer.waiting") {
        value throws(WireError) in
        .waiting(
          try unsafe leaseID(value.lease, "LeaseRefusal.lease"), ask: unsafe value.ask,
          try unsafe LeaseRefusal(wire: value))
      }
    case TUTTI__V1__LEASE_ANSWER__ANSWER_RECALLED:
      self = .recalled(try unsafe leaseID(message.recalled, "LeaseAnswer.recalled"))
    case TUTTI__V1__LEASE_ANSWER__ANSWER_RETURNED:
      self = .returned(
        try unsafe required(message.returned, "LeaseAnswer.returned") { value throws(WireError) in
          try unsafe LeaseReturn(wire: value)
        })
    case TUTTI__V1__LEASE_ANSWER__ANSWER_RENEWED:
      self = try unsafe required(message.renewed, "LeaseAnswer.renewed") {
        value throws(WireError) in
        .renewed(
          try unsafe required(value.renewal, "LeaseRenewed.renewal") { renewal throws(WireError) in
            try unsafe LeaseRenewal(wire: renewal)
          }, settledThrough: unsafe value.settled_through)
      }
    case TUTTI__V1__LEASE_ANSWER__ANSWER_SETTLED:
      self = try unsafe required(message.settled, "LeaseAnswer.settled") {
        value throws(WireError) in
        .settled(try unsafe PeerID(wire: value), through: unsafe value.through)
      }
    case TUTTI__V1__LEASE_ANSWER__ANSWER_ENDED:
      self = try unsafe required(message.ended, "LeaseAnswer.ended") { value throws(WireError) in
        .ended(try unsafe PeerID(wire: value), through: unsafe value.through)
      }
    case TUTTI__V1__LEASE_ANSWER__ANSWER_UNKNOWN:
      self = .unknown(try unsafe leaseID(message.unknown, "LeaseAnswer.unknown"))
    default: throw .unknownValue(field: "LeaseAnswer.answer")
    }
  }
}

extension LeaseSettlement {
  init(wire message: Tutti__V1__LeaseSettlement) throws(WireError) {
    self.init(
      lease: try unsafe leaseID(message.lease, "LeaseSettlement.lease"),
      key: AccountID(try unsafe String(wire: message.key, "LeaseSettlement.key")),
      number: unsafe message.number, request: unsafe message.request,
      hold: try MicroCredits(wire: unsafe message.hold, "LeaseSettlement.hold"),
      billed: try MicroCredits(wire: unsafe message.billed, "LeaseSettlement.billed"))
  }
}

extension LeaseAsk {
  fileprivate init(wire message: Tutti__V1__LeaseAsk) throws(WireError) {
    self.init(
      lease: try unsafe leaseID(message.lease, "LeaseAsk.lease"),
      key: AccountID(try unsafe String(wire: message.key, "LeaseAsk.key")),
      number: unsafe message.number,
      granted: try MicroCredits(wire: unsafe message.granted, "LeaseAsk.granted"),
      returned: try MicroCredits(wire: unsafe message.returned, "LeaseAsk.returned"),
      held: try MicroCredits(wire: unsafe message.held, "LeaseAsk.held"),
      minimum: try MicroCredits(wire: unsafe message.minimum, "LeaseAsk.minimum"),
      worst: try MicroCredits(wire: unsafe message.worst, "LeaseAsk.worst"),
      want: try MicroCredits(wire: unsafe message.want, "LeaseAsk.want"),
      isLastCall: unsafe message.is_last_call != 0)
  }
}

extension LeaseReturn {
  fileprivate init(wire message: Tutti__V1__LeaseReturn) throws(WireError) {
    self.init(
      lease: try unsafe leaseID(message.lease, "LeaseReturn.lease"),
      returned: try MicroCredits(wire: unsafe message.returned, "LeaseReturn.returned"),
      withdrawn: unsafe message.withdrawn, closes: unsafe message.closes != 0)
  }
}

extension LeaseRenewal {
  fileprivate init(wire message: Tutti__V1__LeaseRenewal) throws(WireError) {
    self.init(
      gateway: PeerID(
        name: try unsafe String(wire: message.gateway, "LeaseRenewal.gateway"),
        incarnation: unsafe message.incarnation),
      number: unsafe message.number, oldest: unsafe message.oldest,
      confirmed: unsafe message.confirmed)
  }
}

private func readCeiling(
  _ message: UnsafeMutablePointer<Tutti__V1__Ceiling>?, _ field: StaticString
) throws(WireError) -> Ceiling {
  try unsafe required(message, field) { value throws(WireError) in
    Ceiling(
      id: CeilingID(try unsafe String(wire: value.id, "Ceiling.id")),
      remaining: MicroCredits(unsafe value.remaining),
      resetsAt: unsafe value.has_reset != 0 ? unsafe value.resets_at_ms : nil)
  }
}

extension LeaseRefusal {
  fileprivate init(wire message: Tutti__V1__LeaseRefusal) throws(WireError) {
    switch try unsafe String(wire: message.reason, "LeaseRefusal.reason") {
    case "ceiling":
      self = .ceiling(
        try unsafe readCeiling(message.ceiling, "LeaseRefusal.ceiling"))
    case "key": self = .key
    case "invalid": self = .invalid
    case "too_many_leases": self = .tooManyLeases
    default: throw .unknownValue(field: "LeaseRefusal.reason")
    }
  }
}

extension PeerID {
  fileprivate init(wire message: Tutti__V1__LeaseProgress) throws(WireError) {
    self.init(
      name: try unsafe String(wire: message.gateway, "LeaseProgress.gateway"),
      incarnation: unsafe message.incarnation)
  }
}

private func leaseID(
  _ message: UnsafeMutablePointer<Tutti__V1__LeaseName>?, _ field: StaticString
) throws(WireError) -> LeaseID {
  try unsafe required(message, field) { value throws(WireError) in
    LeaseID(
      gateway: PeerID(
        name: try unsafe String(wire: value.gateway, "LeaseName.gateway"),
        incarnation: unsafe value.incarnation),
      number: unsafe value.number)
  }
}

extension MicroCredits {
  /// Reads an amount that must not be negative. Throws if it is.
  init(wire count: Int64, _ field: StaticString) throws(WireError) {
    guard count >= 0 else { throw .unknownValue(field: "\(field)") }
    self.init(count)
  }
}
