/// A service of the cluster. The text form names processes and peers.
public enum ServiceName: Hashable, Sendable, CustomStringConvertible {
  case gateway, registry, planner, dispatcher, monitor
  case agent(AgentRole)
  /// A service that this version does not know. It is listed but never called.
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

  /// All services of a complete cluster, in start order.
  public static let all: [ServiceName] =
    [.registry, .monitor, .planner, .dispatcher] + AgentRole.allCases.map { .agent($0) }
    + [.gateway]
}

/// Role of an agent. Each role has its own agent service.
public enum AgentRole: String, CaseIterable, Codable, Hashable, Sendable {
  case research, reasoning, creative, code, critic, coordinator
}

/// One row of the peer table: where a process receives messages.
public struct Peer: Hashable, Sendable {
  public var id: PeerID
  public var service: ServiceName
  /// nanomsg URL of the peer's PULL socket.
  public var mailbox: String
  /// Public key that authenticates the peer's frames, 32 bytes. Empty over `ipc://`, where the
  /// permissions of the directory protect the sockets.
  public var key: [UInt8]
  public var version: String
  /// Lease time: the peer leaves the table if it does not renew its hello within this time.
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

/// All peers on the bus, as last published by the registry.
public struct PeerTable: Equatable, Sendable {
  /// The registry's incarnation. A new registry restarts the count of revisions.
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

/// Version of this software.
public enum Version {
  public static let current = "0.1.0"
}
