/// The services of the cluster, as their processes and peers are named.
public enum ServiceName: Hashable, Sendable, CustomStringConvertible {
  case gateway, registry, planner, dispatcher, monitor
  case agent(AgentRole)
  /// A service that this version does not know; it is listed, never called.
  case other(String)

  public init(_ text: String) {
    switch text {
    case "gateway": self = .gateway
    case "registry": self = .registry
    case "planner": self = .planner
    case "dispatcher": self = .dispatcher
    case "monitor": self = .monitor
    default:
      if text.hasPrefix("agent-"), let role = AgentRole(rawValue: String(text.dropFirst(6))) {
        self = .agent(role)
      } else {
        self = .other(text)
      }
    }
  }

  public var description: String {
    switch self {
    case .gateway: "gateway"
    case .registry: "registry"
    case .planner: "planner"
    case .dispatcher: "dispatcher"
    case .monitor: "monitor"
    case .agent(let role): "agent-\(role.rawValue)"
    case .other(let name): name
    }
  }

  /// Every service that a whole cluster runs, in the order in which they start.
  public static let all: [ServiceName] =
    [.registry, .monitor, .planner, .dispatcher] + AgentRole.allCases.map { .agent($0) }
    + [.gateway]
}

/// The six specialised agents.
public enum AgentRole: String, CaseIterable, Codable, Hashable, Sendable {
  case research, reasoning, creative, code, critic, coordinator
}

/// One line of the peer table: where a process receives mail.
public struct Peer: Hashable, Sendable {
  public var id: PeerID
  public var service: ServiceName
  /// nanomsg URL of its PULL socket.
  public var mailbox: String
  /// Public key that its frames prove, 32 bytes. Empty over `ipc://`, where the directory's mode
  /// guards the sockets.
  public var key: [UInt8]
  public var version: String
  /// Without a renewed hello within this time the peer leaves the table.
  public var ttl: Duration

  public init(
    id: PeerID, service: ServiceName, mailbox: String, key: [UInt8] = [],
    version: String = Version.current, ttl: Duration
  ) {
    self.id = id
    self.service = service
    self.mailbox = mailbox
    self.key = key
    self.version = version
    self.ttl = ttl
  }
}

/// Who is on the bus, as the registry last told it.
public struct PeerTable: Equatable, Sendable {
  /// The registry's incarnation: a new registry counts revisions from zero again.
  public var epoch: UInt64
  public var revision: UInt64
  public var peers: [Peer]

  public static let empty = PeerTable(epoch: 0, revision: 0, peers: [])

  public init(epoch: UInt64, revision: UInt64, peers: [Peer]) {
    self.epoch = epoch
    self.revision = revision
    self.peers = peers
  }
}

/// The version of this software, as `--version` prints it.
public enum Version {
  public static let current = "0.1.0"
}
