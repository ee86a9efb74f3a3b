public import ClusterModel
public import HostModel

/// Input of a decision: the hosts and their standings at one moment.
///
/// A copy is cheap: its arrays are shared with `HostStatistics` until one of the two changes.
public struct ClusterView: Sendable {
  public let index: HostIndex
  /// Standings, in the table's order.
  public let standings: [HostStanding]
  let pulses: [HostPulse]
  let closed: ClosedHosts
  let score: HostScore
  /// Learned facts about how hosts accept requests.
  let habits: HostHabits
  /// Time at which the view was taken.
  public var moment: Instant

  public var table: HostTable { index.table }

  init(
    index: HostIndex, standings: [HostStanding], pulses: [HostPulse],
    closed: ClosedHosts = ClosedHosts(), score: HostScore, habits: HostHabits = HostHabits(),
    now: Instant
  ) {
    self.index = index
    self.standings = standings
    self.pulses = pulses
    self.closed = closed
    self.score = score
    self.habits = habits
    moment = now
  }

  /// Creates a view from a table alone. A host without a given standing gets a new standing.
  public init(
    table: HostTable, standing: [HostID: HostStanding] = [:], rules: EligibilityRules = .init(),
    score: HostScore = .standard, now: Instant = .zero
  ) {
    let standings = table.hosts.map { standing[$0.id] ?? HostStanding(slots: $0.slots) }
    self.init(
      index: HostIndex(table, rules: rules), standings: standings,
      pulses: standings.map { HostPulse($0, score) }, score: score, now: now)
  }

  /// The standing of a host. `nil` means that the host is not in the table.
  public func standing(of host: HostID) -> HostStanding? {
    index.row(of: host).map { standings[$0] }
  }

  /// Whether the host is open to this client, as `ClosedHosts` records it. The host's breaker does
  /// not count here.
  func isOpen(_ row: Int, to client: ClientFingerprint?) -> Bool {
    closed.admits(client, to: table.hosts[row].id, at: moment)
  }

  /// The hosts as the planner and the agents see them.
  ///
  /// A breaker counts as open if it is open in any process, as in the dispatcher's view. Plans must
  /// not count on hosts that get no tasks.
  ///
  /// - Parameter client: the client of the request. `nil` means a request by Tutti itself.
  public func hosts(for client: ClientFingerprint? = nil) -> HostView {
    let activities = table.hosts.indices.map { row in
      var activity = activity(of: row, for: client)
      if standings[row].isSuspect { activity.isBreakerOpen = true }
      return activity
    }
    return HostView(table, activities: activities, rules: index.rules)
  }

  /// The host's activity as `infer()` uses it. Only this process's breaker counts.
  func activity(of row: Int, for client: ClientFingerprint?) -> HostActivity {
    let standing = standings[row]
    return HostActivity(
      isBreakerOpen: !standing.breaker.admits(at: moment),
      isClosedToClient: !isOpen(row, to: client),
      silence: standing.lastAnswered.map { $0.duration(to: moment) },
      inFlight: standing.inFlight,
      speed: HostSpeed(
        tokensPerSecond: standing.tokensPerSecond,
        firstToken: standing.isMeasured(at: moment) ? standing.firstTokenP50 : nil,
        slowdown: standing.slowdown))
  }

  /// Requests in flight per slot on the community's ready hosts. 1 means as many requests as slots,
  /// or that there is no such host.
  public var utilisation: Double {
    var inFlight = 0
    var slots = 0
    for row in index.readyRows {
      inFlight += standings[row].inFlight
      slots += standings[row].slots ?? HostSharing.assumedSlots
    }
    return slots == 0 ? 1 : Double(inFlight) / Double(slots)
  }
}

/// A host that may be asked, with the model and the request form to use.
public struct Candidate: Hashable, Sendable {
  public var host: Host
  /// The name that clients use for the model.
  public var model: ModelID
  /// The host's own name of the model if `model` is an alias. `nil` means that `model` is the
  /// host's own name.
  public var upstream: ModelID?
  /// Changes of the request that this host needs.
  public var form: RequestForm
  /// How the price decided for the host. `nil` means that it did not decide.
  var price: PriceChoice?

  public init(host: Host, model: ModelID, upstream: ModelID? = nil, form: RequestForm = []) {
    self.host = host
    self.model = model
    self.upstream = upstream
    self.form = form
  }

  /// The host's own name of the model.
  var hostModel: ModelID { upstream ?? model }

  /// Rank of the model at the host.
  var rank: Int { host.models.first { $0.id == model }?.rank ?? 0 }
}
