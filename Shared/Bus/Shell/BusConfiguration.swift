public import BusCore
public import ClusterModel
import Foundation
import Limits

/// Name, addresses and limits of a process on the bus.
public struct BusConfiguration: Sendable {
  public var service: ServiceName
  /// Name that is unique in the cluster, for example `gateway-1`.
  public var name: String
  /// Number that differs at each start of the process.
  public var incarnation: UInt64
  public var addresses: BusAddresses
  /// Duration of the lease: the registry removes a process that sends no hello for this long.
  /// Hellos are sent three times as often.
  var ttl: Duration
  var limits: BusLimits
  /// How long handlers may continue after a graceful shutdown began.
  var drainGrace: Duration
  /// Time for an unknown connection on `tcp://` to prove that it holds the cluster key.
  var strangerWait = Duration.milliseconds(Limits.busStrangerWait.value)

  /// - Parameter incarnation: `nil` means the current time in microseconds since 1970.
  public init(
    service: ServiceName, name: String, incarnation: UInt64? = nil, addresses: BusAddresses,
    ttl: Duration = .seconds(5), limits: BusLimits = .standard, drainGrace: Duration = .seconds(10)
  ) {
    self.service = service
    self.name = name
    self.incarnation = incarnation ?? UInt64(Date().timeIntervalSince1970 * 1e6)
    self.addresses = addresses
    self.ttl = ttl
    self.limits = limits
    self.drainGrace = drainGrace
  }

  /// The registry's mailbox, known to all processes in advance.
  var registryMailbox: String {
    switch addresses {
    case .ipc(let directory): "ipc://\(directory)/registry"
    case .tcp(_, _, let registry, _, _, _): Self.url(registry)
    case .loopback: "loopback://registry"
    }
  }

  /// The registry's public key, if the operator configured it.
  var registryKey: [UInt8]? {
    if case .tcp(_, _, _, _, let key, _) = addresses { key } else { nil }
  }

  /// Makes the transport for `addresses`. Also removes the sockets of killed processes of the same
  /// name.
  /// - Throws: an error for an unusable address; its message says what to do.
  public func makeTransport() throws(Failure) -> any Transport {
    try checkName()
    let own = "\(name)-\(String(incarnation, radix: 36))"
    switch addresses {
    case .ipc(let directory):
      if service != .registry { RuntimeDirectory.removeSockets(of: name, in: directory) }
      // The registry's address is known in advance; all other addresses contain the incarnation.
      let mailbox = service == .registry ? registryMailbox : "ipc://\(directory)/\(own)"
      guard MailboxAddress(mailbox) != nil else {
        throw Failure(
          .invalidRequest,
          "the socket address \(mailbox) is too long or not a path: use a shorter --name or "
            + "runtime directory")
      }
      return try NanomsgTransport(
        NanomsgTransport.Configuration(listen: mailbox, mailbox: mailbox))
    case .tcp(let listen, let advertise, let registry, let clusterKey, _, let identity):
      for (what, address) in [("advertised", advertise), ("registry's", registry)] {
        let (host, _) = try Self.parse(address, what)
        guard !["*", "0.0.0.0", "[::]"].contains(host) else {
          throw Failure(
            .invalidRequest,
            "the \(what) bus address \(address) means every address of a machine; set one "
              + "that other processes can connect to")
        }
      }
      // Peers reach the registry at the `registry` address, so its `advertise` is ignored.
      let mailbox = Self.url(service == .registry ? registry : advertise)
      let seal = try FrameSeal(
        clusterKey: clusterKey, own: PeerID(name: name, incarnation: incarnation),
        identity: identity, mailbox: mailbox, registryMailbox: registryMailbox)
      let (host, port) = try Self.parse(listen, "listening")
      // Each listening address has its own directory, so that no other process uses it.
      let directory = try RuntimeDirectory.path(forDataDirectory: "/tutti-bus/\(host):\(port)")
      RuntimeDirectory.removeSockets(of: "socket", in: directory)
      var configuration = NanomsgTransport.Configuration(
        listen: "ipc://\(directory)/socket-\(String(incarnation, radix: 36))", mailbox: mailbox)
      configuration.listener = NanomsgTransport.Configuration.Public(
        host: host == "*" ? "0.0.0.0" : host.filter { $0 != "[" && $0 != "]" }, port: port,
        seal: seal, patience: strangerWait)
      return try NanomsgTransport(configuration)
    case .loopback(let network):
      return network.endpoint(
        mailbox: service == .registry ? registryMailbox : "loopback://\(own)")
    }
  }

  /// Checks the name, which becomes part of a path and of metric labels.
  private func checkName() throws(Failure) {
    let isAllowed = name.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
        || [45, 46, 95].contains(byte)
    }
    guard isAllowed, (1...64).contains(name.utf8.count), incarnation != 0 else {
      throw Failure(
        .invalidRequest,
        "\"\(name)\" cannot be a process's name: use 1 to 64 letters, digits, '.', '_' or '-'")
    }
  }

  private static func url(_ address: String) -> String {
    address.hasPrefix("tcp://") ? address : "tcp://\(address)"
  }

  private static func parse(
    _ address: String, _ what: String
  ) throws(Failure) -> (host: String, port: Int) {
    guard let parsed = MailboxAddress.hostAndPort(String(url(address).dropFirst(6))) else {
      throw Failure(
        .invalidRequest,
        "the \(what) bus address \"\(address)\" is not HOST:PORT with a port of 1 to 65535")
    }
    return parsed
  }
}

/// The addresses at which the processes of a cluster find each other.
public enum BusAddresses: Sendable {
  /// One machine: sockets in a short directory of mode 0700 (`RuntimeDirectory`).
  case ipc(directory: String)
  /// Many machines: every frame is sealed with keys derived from `clusterKey` (16 bytes or more).
  /// - `listen`: `HOST:PORT` to bind.
  /// - `advertise`: `HOST:PORT` at which other processes reach this one.
  /// - `registry`: `HOST:PORT` of the registry, the same in all processes, including the registry.
  /// - `registryKey`: the registry's public key. `nil` means that the key of the first registry
  ///   that answers is pinned.
  /// - `identity`: the key pair of this process.
  case tcp(
    listen: String, advertise: String, registry: String, clusterKey: [UInt8],
    registryKey: [UInt8]? = nil, identity: BusIdentity = BusIdentity())
  /// One process, without nanomsg, with simulated network faults. For tests.
  case loopback(LoopbackNetwork)
}
