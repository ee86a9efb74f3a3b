import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  private func offer(_ offer: ModelOffer) -> UnsafeMutablePointer<Tutti__V1__ModelOffer> {
    let message = unsafe make(tutti__v1__model_offer__init)
    unsafe message.pointee.id = text(offer.id.name)
    unsafe message.pointee.context_tokens = UInt32(wire: offer.contextTokens)
    unsafe message.pointee.facts = text(offer.facts)
    unsafe message.pointee.upstream = text(offer.upstream?.name ?? "")
    unsafe message.pointee.kind = text(offer.kind?.rawValue ?? "")
    unsafe message.pointee.hidden = offer.isHidden ? 1 : 0
    unsafe message.pointee.rank = UInt32(clamping: offer.rank)
    return unsafe message
  }

  private func hostPrice(_ price: HostPrice) -> UnsafeMutablePointer<Tutti__V1__HostPrice> {
    let message = unsafe make(tutti__v1__host_price__init)
    unsafe message.pointee.input = price.input
    unsafe message.pointee.output = price.output
    return unsafe message
  }

  private func host(_ host: Host) -> UnsafeMutablePointer<Tutti__V1__Host> {
    let message = unsafe make(tutti__v1__host__init)
    unsafe message.pointee.id = text(host.id.name)
    unsafe message.pointee.url = text(host.url)
    unsafe message.pointee.omits_v1 = host.omitsV1 ? 1 : 0
    unsafe message.pointee.dialect = text(host.dialect.rawValue)
    unsafe message.pointee.resume = text(host.resume.rawValue)
    unsafe message.pointee.credential = text(host.credential ?? "")
    unsafe message.pointee.tier = text(host.tier.rawValue)
    unsafe message.pointee.trust = text(host.trust.rawValue)
    unsafe message.pointee.state =
      switch host.state {
      case .unknown: TUTTI__V1__HOST_STATE__HOST_STATE_UNKNOWN
      case .ready: TUTTI__V1__HOST_STATE__HOST_STATE_READY
      case .unreachable: TUTTI__V1__HOST_STATE__HOST_STATE_UNREACHABLE
      case .suspended: TUTTI__V1__HOST_STATE__HOST_STATE_SUSPENDED
      }
    unsafe message.pointee.reason = text(host.reason)
    unsafe message.pointee.n_models = host.models.count
    unsafe message.pointee.models = array(host.models) { unsafe offer($0) }
    unsafe message.pointee.slots = UInt32(wire: host.slots)
    unsafe message.pointee.version = text(host.version ?? "")
    unsafe message.pointee.probe_ms = UInt32(wire: host.probeMilliseconds)
    if let price = host.price { unsafe message.pointee.price = hostPrice(price) }
    unsafe message.pointee.n_tags = host.tags.count
    unsafe message.pointee.tags = array(host.tags) { unsafe text($0) }
    unsafe message.pointee.region = text(host.region ?? "")
    return unsafe message
  }

  func hostTable(_ table: HostTable) -> UnsafeMutablePointer<Tutti__V1__HostTable> {
    let message = unsafe make(tutti__v1__host_table__init)
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.n_hosts = table.hosts.count
    unsafe message.pointee.hosts = array(table.hosts) { unsafe host($0) }
    return unsafe message
  }

  func hostChanges(_ changes: HostChanges) -> UnsafeMutablePointer<Tutti__V1__HostChanges> {
    let message = unsafe make(tutti__v1__host_changes__init)
    unsafe message.pointee.epoch = changes.epoch
    unsafe message.pointee.base_revision = changes.base
    unsafe message.pointee.revision = changes.revision
    unsafe message.pointee.n_changed = changes.changed.count
    unsafe message.pointee.changed = array(changes.changed) { unsafe host($0) }
    unsafe message.pointee.n_removed = changes.removed.count
    unsafe message.pointee.removed = array(changes.removed) { unsafe text($0.name) }
    return unsafe message
  }
}

extension HostState {
  init(wire state: Tutti__V1__HostState) throws(WireError) {
    switch state {
    case TUTTI__V1__HOST_STATE__HOST_STATE_UNKNOWN: self = .unknown
    case TUTTI__V1__HOST_STATE__HOST_STATE_READY: self = .ready
    case TUTTI__V1__HOST_STATE__HOST_STATE_UNREACHABLE: self = .unreachable
    case TUTTI__V1__HOST_STATE__HOST_STATE_SUSPENDED: self = .suspended
    default: throw .unknownValue(field: "Host.state")
    }
  }
}

extension ModelOffer {
  init(wire message: Tutti__V1__ModelOffer) throws(WireError) {
    let upstream = try unsafe String(wire: message.upstream, "ModelOffer.upstream")
    self.init(
      id: ModelID(try unsafe String(wire: message.id, "ModelOffer.id")),
      contextTokens: Int?(wire: unsafe message.context_tokens),
      facts: try unsafe String(wire: message.facts, "ModelOffer.facts"),
      upstream: upstream.isEmpty ? nil : ModelID(upstream),
      // A kind that only a later version knows must not make the whole table unreadable. The kind
      // then follows from the model's name.
      kind: ModelKind(rawValue: try unsafe String(wire: message.kind, "ModelOffer.kind")),
      isHidden: unsafe message.hidden != 0, rank: Int(clamping: unsafe message.rank))
  }
}

extension Host {
  init(wire message: Tutti__V1__Host) throws(WireError) {
    let version = try unsafe String(wire: message.version, "Host.version")
    let credential = try unsafe String(wire: message.credential, "Host.credential")
    let region = try unsafe String(wire: message.region, "Host.region")
    self.init(
      id: HostID(try unsafe String(wire: message.id, "Host.id")),
      url: try unsafe String(wire: message.url, "Host.url"), omitsV1: unsafe message.omits_v1 != 0,
      dialect: try unsafe HostDialect(wire: message.dialect, "Host.dialect"),
      resume: try unsafe ResumeWay(wire: message.resume, "Host.resume"),
      credential: credential.isEmpty ? nil : credential,
      tier: try unsafe HostTier(wire: message.tier, "Host.tier"),
      trust: try unsafe DataPolicy(wire: message.trust, "Host.trust"),
      state: try unsafe HostState(wire: message.state),
      reason: try unsafe String(wire: message.reason, "Host.reason"),
      models: try unsafe elements(message.n_models, message.models) { offer throws(WireError) in
        try unsafe ModelOffer(wire: offer)
      },
      slots: Int?(wire: unsafe message.slots), version: version.isEmpty ? nil : version,
      probeMilliseconds: Int?(wire: unsafe message.probe_ms),
      price: unsafe message.price == nil
        ? nil
        : try unsafe required(message.price, "Host.price") { price throws(WireError) in
          unsafe HostPrice(input: price.input, output: price.output)
        },
      tags: try unsafe texts(message.n_tags, message.tags, "Host.tags"),
      region: region.isEmpty ? nil : region)
  }
}

extension HostTable {
  init(wire message: Tutti__V1__HostTable) throws(WireError) {
    self.init(
      epoch: unsafe message.epoch, revision: unsafe message.revision,
      hosts: try unsafe elements(message.n_hosts, message.hosts) { host throws(WireError) in
        try unsafe Host(wire: host)
      })
  }
}

extension HostChanges {
  init(wire message: Tutti__V1__HostChanges) throws(WireError) {
    self.init(
      epoch: unsafe message.epoch, base: unsafe message.base_revision,
      revision: unsafe message.revision,
      changed: try unsafe elements(message.n_changed, message.changed) { host throws(WireError) in
        try unsafe Host(wire: host)
      },
      removed: try unsafe texts(message.n_removed, message.removed, "HostChanges.removed")
        .map(HostID.init))
  }
}
