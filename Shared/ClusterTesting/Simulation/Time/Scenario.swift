import ClusterModel

/// Faults and requests of one run, drawn from its seed.
public struct Scenario: Sendable, CustomStringConvertible {
  /// Kind of a run: which faults occur, and which requests must be answered.
  enum Kind: String, CaseIterable, Sendable {
    /// No faults. Every request must be answered.
    case calm
    /// Hosts fail, except the first one. Services and network work. Every request must be answered.
    case badHosts = "bad hosts"
    /// Services crash and the network loses frames, but all hosts are healthy.
    case badServices = "bad services"
    /// Hosts fail, services crash and the network loses frames.
    case storm
  }

  /// A planted bug, to test that the checks find bugs.
  public enum PlantedBug: String, CaseIterable, Sendable {
    /// The end of a stream reaches the process, but not its reader.
    case lostAcknowledgement = "lost-acknowledgement"
    /// A reader gets one item of a stream twice.
    case repeatedItem = "repeated-item"
    /// A restarted process accepts messages for its predecessor.
    case sharedIncarnation = "shared-incarnation"
    /// A piece of a host's text is lost between the socket and the reader.
    case lostPiece = "lost-piece"
    /// The dispatcher does not know the minimum versions of hosts.
    case ignoredVersion = "ignored-version"
  }

  let seed: UInt64
  let kind: Kind
  let planted: PlantedBug?
  /// Lost frames per 10,000.
  let lossPerTenThousand: Int
  let maximumDelay: Duration
  /// Connections per 1,000 that do not report the death of the process at their other end.
  let silentDeathPerMille: Int
  /// Whether a restarted process receives at its predecessor's address, as over `tcp://`.
  let keepsAddresses: Bool
  let hosts: Int
  /// Number of the host that is older than the minimum version. `nil` means that none is.
  let oldHost: Int?
  let requests: Int
  let deaths: Int
  let partitions: Int
  /// Number of changes of a host's mood.
  let moods: Int
  let gateways: Int
  let dispatchers: Int
  let planners: Int
  /// Time for the processes to find each other.
  static let start = Duration.seconds(1)
  /// Time over which requests and faults are spread. At its end all faults end.
  static let active = Duration.seconds(6)
  /// Maximum time for leases and tables to converge after the faults: the longest absence of a
  /// process, a lease and two refreshes.
  static let settling = Duration.seconds(12)
  /// Maximum wait for the last request's end: more than the longest request may take.
  static let patience = Duration.seconds(340)
  /// Maximum time for the last load reports to be merged.
  static let windingDown = Duration.seconds(12)
  /// Interval at which the run checks whether a wait is over.
  static let checkInterval = Duration.milliseconds(250)

  public init(seed: UInt64, planted: PlantedBug? = nil) {
    var chance = SplitMix64(seed: seed)
    self.seed = seed
    self.planted = planted
    kind = Kind.allCases[Int(seed % UInt64(Kind.allCases.count))]
    let hasBadServices = kind == .badServices || kind == .storm
    let hasBadHosts = kind == .badHosts || kind == .storm
    lossPerTenThousand = hasBadServices ? [0, 5, 20, 100][chance.nextInt(in: 0..<4)] : 0
    maximumDelay = .milliseconds([1, 5, 40][chance.nextInt(in: 0..<3)])
    silentDeathPerMille = hasBadServices ? [0, 300][chance.nextInt(in: 0..<2)] : 0
    keepsAddresses = chance.nextInt(in: 0..<2) == 0
    hosts = chance.nextInt(in: 2..<5)
    oldHost = hosts > 3 ? hosts : nil
    requests = chance.nextInt(in: 4..<9)
    deaths = hasBadServices ? chance.nextInt(in: 2..<8) : 0
    partitions = hasBadServices ? chance.nextInt(in: 0..<3) : 0
    moods = hasBadHosts ? chance.nextInt(in: 3..<10) : 0
    gateways = chance.nextInt(in: 1..<3)
    dispatchers = chance.nextInt(in: 1..<3)
    planners = chance.nextInt(in: 1..<3)
  }

  /// Names and services of the cluster's processes, the registry first.
  var processes: [(name: String, service: ServiceName)] {
    var processes: [(String, ServiceName)] = [("registry-1", .registry)]
    for number in 1...planners { processes.append(("planner-\(number)", .planner)) }
    for number in 1...dispatchers { processes.append(("dispatcher-\(number)", .dispatcher)) }
    for role in AgentRole.allCases { processes.append(("agent-\(role.rawValue)-1", .agent(role))) }
    for number in 1...gateways { processes.append(("gateway-\(number)", .gateway)) }
    return processes
  }

  public var description: String {
    "seed \(seed) (\(kind.rawValue)): \(hosts) hosts, \(processes.count) processes, "
      + "\(requests) requests, \(deaths) deaths, \(partitions) partitions, "
      + "\(moods) host faults, \(lossPerTenThousand) of 10,000 frames lost, "
      + "delay up to \(maximumDelay.wholeMilliseconds) ms"
  }
}
