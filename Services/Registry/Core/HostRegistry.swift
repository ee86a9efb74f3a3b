public import ClusterModel
import Limits

/// The registered hosts and their states.
/// It decides when each host is probed and what a result means. It sends no requests itself.
public struct HostRegistry: Sendable {
  public struct Limits: Equatable, Sendable {
    public var hosts = HostTableLimits.tableHosts.value
    public var modelsPerHost = HostTableLimits.hostModels.value
    /// Maximum bytes in the host table for the models of all hosts together.
    public var offerBytes = HostTableLimits.tableOfferBytes.value
    /// Maximum bytes in the host table for the models of one host.
    public var hostOfferBytes = HostTableLimits.hostOfferBytes.value
    /// Bytes in the host table that each host gets, however many models other hosts list.
    public var guaranteedOfferBytes = HostTableLimits.guaranteedOfferBytes.value
    /// Maximum bytes in the host table for the rows of all hosts without their models.
    public var rowBytes = HostTableLimits.tableRowBytes.value
    /// Maximum concurrent probes. A probe sends one request at a time, each for at most 2 s.
    public var probesAtOnce = 64
    /// Maximum concurrent probes of unreachable hosts. A probe of a host that does not answer takes
    /// 2 s, so many such hosts would otherwise delay the probes of ready ones.
    var awayProbesAtOnce: Int { max(1, probesAtOnce * 3 / 4) }

    public init() {}
  }

  public enum Directive: Equatable, Sendable {
    /// Probe the host, then call `probed` with the same order.
    case probe(ProbeOrder)
    /// Send the table to all peers, after a change that matters to them.
    case publish(HostTable)
    /// Store an admin's settings of the host.
    case persist(HostRecord)
    case forget(HostID)
    /// Resume clients that wait for this host's probe, because it succeeded, failed or was dropped.
    case settled(HostID)
  }

  struct Entry: Sendable {
    /// The host as it is published.
    var host: Host
    /// An admin's settings. `nil` means that the host's own report applies.
    var configuredSlots: Int?
    var configuredDialect: HostDialect?
    var configuredResume: ResumeWay?
    var configuredOmitsV1: Bool?
    /// Models that an admin named for the host. An empty list means the host's own list.
    var namedModels: [ModelID]
    /// Whether the host is suspended because an admin drained it.
    var isDrained: Bool
    let identity: String
    /// Time of the next probe. `nil` means that the host is suspended or that a probe is under way.
    var probeTime: Instant?
    /// Id of the probe under way. `nil` means that there is none.
    var probe: UInt64?
    /// Whether an admin has asked for the next probe.
    var isProbeForced = false
    /// Number of failed probes since the last successful one, or since an admin resumed the host.
    var failures = 0
    /// Time of the last successful probe. `nil` means that none has succeeded yet.
    var lastAnswered: Instant?
    var backOff: Duration = HostRegistry.firstBackOff
    /// Models that the host lists, before the records of models are applied.
    var listed: [ModelOffer] = []
    var listedBytes = 0
    /// Numbers of names in the host's list that are not in `listed`: those that do not fit or are
    /// empty or too long, and a gateway's own names.
    var omitted = (leftOut: 0, gatewayNames: 0)
    var offerBytes = 0
    var added: Int

    /// Whether probes of other hosts go first.
    var isAway: Bool { host.state == .unreachable && !isProbeForced }

    /// Bytes of the table row without models. Texts that the host reports count with their maximum
    /// length.
    var rowBytes: Int {
      HostRegistry.reservedRowBytes + host.id.name.utf8.count + host.url.utf8.count
        + (host.credential?.utf8.count ?? 0) + (host.region?.utf8.count ?? 0)
        + host.tags.reduce(0) { $0 + $1.utf8.count + HostRegistry.tagHeaderBytes }
    }
  }

  /// Interval between probes of a ready host.
  static let readyInterval: Duration = .seconds(2)
  /// Minimum interval between probes of a ready host at which requests fail.
  static let doubtInterval: Duration = .milliseconds(500)
  /// Interval between probes of a host that is not ready. It doubles after each failure, from
  /// `firstBackOff` to `longestBackOff`. A host that returns is used again after at most the
  /// longest interval. 1,000 absent hosts get 100 probes per second.
  static let firstBackOff: Duration = .seconds(1)
  static let longestBackOff: Duration = .seconds(10)
  /// Consecutive failures until a ready host becomes unreachable.
  /// A busy host may miss a probe. If nothing listens there, one failure is enough.
  static let failuresBeforeUnreachable = 3
  static let suspendedReason = "suspended by an admin"
  static let drainedReason = "drained by an admin"
  /// Bytes of the version and the reason at their maximum length, and of the row's other fields.
  static let reservedRowBytes =
    HostTableLimits.hostVersionBytes.value + HostTableLimits.hostReasonBytes.value + 116
  /// Bytes of a tag in a row, in addition to its text: field number and length.
  static let tagHeaderBytes = 3

  let limits: Limits
  private let credentials: CredentialRules
  private let epoch: UInt64
  var revision: UInt64 = 1
  var entries: [HostID: Entry] = [:]
  var probesUnderWay = 0
  /// Table bytes that are assigned to all hosts. Each host has the larger of its list and the
  /// guaranteed room.
  var committedOfferBytes = 0
  var modelRules = ModelRules()
  var publications = PublicationPace()
  /// Whether a probe has found a change that is not published yet.
  var isPublicationDue = false
  /// Bytes of all hosts' lists.
  var listedBytes = 0
  private var rowBytes = 0
  private var lastProbe: UInt64 = 0
  private var nextPosition = 0

  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - restored: stored hosts, in their order. Hosts that are not suspended are probed at once.
  ///   - credentials: rules for the references that an admin may name.
  public init(
    epoch: UInt64, restored: [HostRecord] = [], limits: Limits = Limits(),
    credentials: CredentialRules = CredentialRules(), now: Instant
  ) {
    self.epoch = epoch
    self.limits = limits
    self.credentials = credentials
    for record in restored.prefix(limits.hosts) {
      var host = record.host
      guard let address = try? HostAddress(host.url), entries[host.id] == nil else { continue }
      host.models = []
      let suspended = host.state == .suspended
      host.omitsV1 = record.omitsV1 ?? address.probablyOmitsV1
      host.state = suspended ? .suspended : .unknown
      host.reason = suspended ? Self.reason(isDrained: record.isDrained) : ""
      let entry = entry(
        HostRecord(
          host, dialect: record.dialect, resume: record.resume, omitsV1: record.omitsV1,
          models: record.models, isDrained: suspended && record.isDrained),
        identity: address.identity, probeTime: suspended ? nil : now)
      guard rowBytes + entry.rowBytes <= limits.rowBytes else { continue }
      insert(entry)
    }
  }

  /// The present host table. Hosts are in the order in which they were added.
  public var table: HostTable {
    HostTable(
      epoch: epoch, revision: revision,
      hosts: entries.values.sorted { $0.added < $1.added }.map(\.host))
  }

  public func host(_ id: HostID) -> Host? { entries[id]?.host }

  /// An admin's settings of a host, as they are stored.
  public func record(_ id: HostID) -> HostRecord? { entries[id].map { record(of: $0) } }

  /// Time of a host's next probe. `nil` means that the host is suspended, or that a probe of it is
  /// under way.
  public func probeTime(of id: HostID) -> Instant? { entries[id]?.probeTime }

  /// Every host, with the time since its last successful probe.
  public func probeAges(now: Instant) -> [(host: HostID, age: Duration?)] {
    entries.values.map { ($0.host.id, $0.lastAnswered?.duration(to: now)) }
  }

  /// Number of hosts in each state, zero included.
  public var countByState: [HostState: Int] {
    var counts = Dictionary(uniqueKeysWithValues: HostState.allCases.map { ($0, 0) })
    for entry in entries.values { counts[entry.host.state, default: 0] += 1 }
    return counts
  }

  // MARK: - Changes by an admin

  /// - Throws: `invalidRequest`, `hostExists`, `overloaded`.
  public mutating func add(
    _ draft: HostDraft, now: Instant
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    let address = try HostAddress(draft.url)
    let id = draft.id ?? address.defaultID
    try HostAddress.check(id: id.name)
    try Self.check(slots: draft.slots)
    try check(models: draft.models)
    let tags = try Self.checked(tags: draft.tags)
    if let region = draft.region { try Self.check(region: region) }
    if let credential = draft.credential {
      try check(credential, at: address, allowsPlainHTTP: draft.allowsPlainHTTP)
    }
    if let twin = entries.values.first(where: { $0.identity == address.identity }) {
      throw Failure(.hostExists, "\(address.url) is already registered as host \(twin.host.id).")
    }
    if let twin = entries[id] {
      throw Failure(
        .hostExists, "Host \(id) is already registered at \(twin.host.url); choose another id.")
    }
    guard entries.count < limits.hosts else {
      throw Failure(.overloaded, "There are \(limits.hosts) hosts already; remove one first.")
    }
    let host = Host(
      id: id, url: address.url, omitsV1: address.omitsV1 ?? address.probablyOmitsV1,
      dialect: draft.dialect ?? .openai,
      resume: draft.resume ?? .instruct, credential: draft.credential, tier: draft.tier,
      trust: draft.trust, slots: draft.slots, price: draft.price, tags: tags, region: draft.region)
    let record = HostRecord(
      host, dialect: draft.dialect, resume: draft.resume, omitsV1: address.omitsV1,
      models: draft.models)
    let entry = entry(record, identity: address.identity, probeTime: now)
    try checkRow(entry.rowBytes)
    insert(entry)
    revision += 1
    return (host, [.persist(record), .publish(table)] + tick(now: now))
  }

  /// - Throws: `hostNotFound`, `invalidRequest`, `overloaded`.
  public mutating func patch(
    _ id: HostID, _ patch: HostPatch
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    var entry = try entry(id)
    let before = record(of: entry)
    let shown = entry.host
    switch patch.models {
    case .unchanged: break
    case .learned: entry.namedModels = []
    case .value(let models):
      try check(models: models)
      entry.namedModels = models
    }
    try Self.check(slots: patch.slots.newValue)
    let price = try HostPrice.stated(
      input: patch.inputPrice.applied(to: entry.host.price?.input),
      output: patch.outputPrice.applied(to: entry.host.price?.output))
    let tags = try patch.tags.map(Self.checked)
    if case .value(let region) = patch.region { try Self.check(region: region) }
    if case .value(let credential) = patch.credential {
      try check(
        credential, at: HostAddress(entry.host.url), allowsPlainHTTP: patch.allowsPlainHTTP)
    }
    switch patch.dialect {
    case .unchanged: break
    case .learned: entry.configuredDialect = nil
    case .value(let dialect):
      entry.configuredDialect = dialect
      entry.host.dialect = dialect
    }
    switch patch.resume {
    case .unchanged: break
    case .learned: entry.configuredResume = nil
    case .value(let way):
      entry.configuredResume = way
      entry.host.resume = way
    }
    switch patch.credential {
    case .unchanged: break
    case .learned: entry.host.credential = nil
    case .value(let credential): entry.host.credential = credential
    }
    switch patch.region {
    case .unchanged: break
    case .learned: entry.host.region = nil
    case .value(let region): entry.host.region = region
    }
    if let tags { entry.host.tags = tags }
    if let tier = patch.tier { entry.host.tier = tier }
    if let trust = patch.trust { entry.host.trust = trust }
    entry.host.price = price
    switch patch.slots {
    case .unchanged: break
    case .learned:
      // A ready host is probed now, and keeps its number of slots until the probe ends.
      if entry.configuredSlots != nil, entry.host.state != .ready { entry.host.slots = nil }
      entry.configuredSlots = nil
    case .value(let slots):
      entry.configuredSlots = slots
      entry.host.slots = slots
    }
    let shownRow = entries[id]?.rowBytes ?? 0
    try checkRow(entry.rowBytes - shownRow)
    rowBytes += entry.rowBytes - shownRow
    entries[id] = entry
    if entry.host.tags != shown.tags {
      // Records of models may refer to the changed tags.
      offerListed(&entry)
      entries[id] = entry
    }
    let after = record(of: entry)
    guard after != before else { return (shown, []) }
    guard entry.host != shown else { return (shown, [.persist(after)]) }
    revision += 1
    return (entry.host, [.persist(after), .publish(table)])
  }

  /// Suspends a host, so that it gets no more requests until an admin resumes it. Suspending twice
  /// has no effect.
  public mutating func suspend(
    _ id: HostID
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    var entry = try entry(id)
    guard entry.host.state != .suspended else { return (entry.host, []) }
    return suspend(&entry, isDrained: false)
  }

  /// Suspends a host, with a reason that names the drain. Running requests finish. Draining twice
  /// has no effect.
  public mutating func drain(
    _ id: HostID
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    var entry = try entry(id)
    guard !entry.isDrained else { return (entry.host, []) }
    return suspend(&entry, isDrained: true)
  }

  private mutating func suspend(
    _ entry: inout Entry, isDrained: Bool
  ) -> (host: Host, directives: [Directive]) {
    let id = entry.host.id
    entry.host.state = .suspended
    entry.host.reason = Self.reason(isDrained: isDrained)
    entry.isDrained = isDrained
    entry.probeTime = nil
    endProbe(&entry)
    entries[id] = entry
    revision += 1
    return (entry.host, [.persist(record(of: entry)), .publish(table), .settled(id)])
  }

  /// Ends the suspension of a host and makes its probe due now. Has no effect on a host that is not
  /// suspended.
  public mutating func resume(
    _ id: HostID, now: Instant
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    var entry = try entry(id)
    guard entry.host.state == .suspended else { return (entry.host, []) }
    entry.host.state = .unknown
    entry.host.reason = ""
    entry.isDrained = false
    entry.probeTime = now
    entry.failures = 0
    entry.backOff = Self.firstBackOff
    entries[id] = entry
    revision += 1
    return (
      entry.host, [.persist(record(of: entry)), .publish(table)] + tick(now: now)
    )
  }

  public mutating func remove(_ id: HostID) throws(Failure) -> [Directive] {
    var entry = try entry(id)
    endProbe(&entry)
    committedOfferBytes -= max(entry.offerBytes, limits.guaranteedOfferBytes)
    rowBytes -= entry.rowBytes
    listedBytes -= entry.listedBytes
    entries[id] = nil
    revision += 1
    return [.forget(id), .publish(table), .settled(id)]
  }

  // MARK: - Helpers

  private func entry(_ record: HostRecord, identity: String, probeTime: Instant?) -> Entry {
    Entry(
      host: record.host, configuredSlots: record.host.slots, configuredDialect: record.dialect,
      configuredResume: record.resume, configuredOmitsV1: record.omitsV1,
      namedModels: record.models, isDrained: record.isDrained, identity: identity,
      probeTime: probeTime, added: nextPosition)
  }

  private mutating func insert(_ entry: Entry) {
    entries[entry.host.id] = entry
    nextPosition += 1
    rowBytes += entry.rowBytes
    committedOfferBytes += limits.guaranteedOfferBytes
    trimOffers()
  }

  /// - Parameter more: bytes by which rows would grow. It may be negative.
  /// - Throws: `overloaded` if the table would no longer fit into one message.
  private func checkRow(_ more: Int) throws(Failure) {
    guard more <= 0 || rowBytes + more <= limits.rowBytes else {
      throw Failure(
        .overloaded,
        "The host table is full: its URLs, ids, credentials and tags have \(limits.rowBytes) "
          + "bytes. "
          + "Remove a host, or use shorter ones.")
    }
  }

  func entry(_ id: HostID) throws(Failure) -> Entry {
    guard let entry = entries[id] else {
      throw Failure(
        .hostNotFound,
        "There is no host \(id); `tutti hosts list` or GET /admin/v1/hosts lists all hosts.")
    }
    return entry
  }

  mutating func nextProbe() -> UInt64 {
    lastProbe += 1
    return lastProbe
  }

  /// Drops the probe that is under way for this entry. Its result will be ignored.
  mutating func endProbe(_ entry: inout Entry) {
    if entry.probe != nil {
      entry.probe = nil
      probesUnderWay -= 1
    }
  }

  private func record(of entry: Entry) -> HostRecord {
    var host = entry.host
    host.slots = entry.configuredSlots
    return HostRecord(
      host, dialect: entry.configuredDialect, resume: entry.configuredResume,
      omitsV1: entry.configuredOmitsV1, models: entry.namedModels, isDrained: entry.isDrained)
  }

  private static func reason(isDrained: Bool) -> String {
    isDrained ? drainedReason : suspendedReason
  }

  /// Whether the registry refuses these models if an admin names them for a host.
  public static func isUnfit(models: [ModelID]) -> Bool {
    (try? HostRegistry(epoch: 0, now: .zero).check(models: models)) == nil
  }

  private func check(models: [ModelID]) throws(Failure) {
    guard models.count <= limits.modelsPerHost else {
      throw Failure(.invalidRequest, "models has more than \(limits.modelsPerHost) names.")
    }
    let longest = HostTableLimits.modelNameBytes.value
    for model in models {
      guard (1...longest).contains(model.name.utf8.count),
        model.name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
      else {
        throw Failure(
          .invalidRequest,
          "models must hold names of 1 to \(longest) bytes without control characters.")
      }
      guard !model.isGatewaysOwn else {
        throw Failure(
          .invalidRequest, "models holds \(model), but \(ModelID.ownPrefix)… are Tutti's own names."
        )
      }
    }
  }

  private func check(
    _ credential: String, at address: HostAddress, allowsPlainHTTP: Bool
  ) throws(Failure) {
    try credentials.check(CredentialReference(credential))
    guard allowsPlainHTTP || !address.isReadableOnTheWay else {
      throw Failure(
        .invalidRequest,
        "credential would be sent to \(address.url) without encryption, readable on the network; "
          + "use https, or allow it with allow_plain_http (`tutti hosts add --allow-plain-http`).")
    }
  }

  /// Whether the registry refuses these tags from an admin.
  public static func isUnfit(tags: [String]) -> Bool { HostTags.checked(tags) == nil }

  private static func checked(tags: [String]) throws(Failure) -> [String] {
    guard let tags = HostTags.checked(tags) else {
      throw Failure(
        .invalidRequest,
        "tags must have at most \(HostTableLimits.hostTags.value) names of \(HostTags.rule).")
    }
    return tags
  }

  private static func check(region: String) throws(Failure) {
    guard HostTags.isName(region) else {
      throw Failure(.invalidRequest, "region must be a name of \(HostTags.rule), or null.")
    }
  }

  private static func check(slots: Int?) throws(Failure) {
    guard slots.map({ (1...65_536).contains($0) }) ?? true else {
      throw Failure(.invalidRequest, "slots must be a whole number from 1 to 65,536.")
    }
  }
}

extension Failure.Code {
  public static let hostExists = Failure.Code(rawValue: "host_exists")
  public static let hostNotFound = Failure.Code(rawValue: "host_not_found")
}
