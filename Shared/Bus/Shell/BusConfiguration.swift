public import BusCore
public import ClusterModel
import Foundation

/// Who we are on the bus and where.
public struct BusConfiguration: Sendable {
  public var service: ServiceName
  /// Unique in the cluster, for example `gateway-1`.
  public var name: String
  /// Different at every start of the process.
  public var incarnation: UInt64
  public var addresses: BusAddresses
  /// Our lease: without a hello within this time the registry forgets us. Hellos go out three
  /// times as often.
  public var ttl: Duration
  public var limits: BusLimits
  /// Whether `Bus.publish` is used: binds a publisher beside the mailbox.
  public var publishes: Bool
  /// How long handlers may go on after a graceful shutdown began.
  public var drainGrace: Duration

  /// - Parameter incarnation: nil: microseconds since 1970, now.
  public init(
    service: ServiceName, name: String, incarnation: UInt64? = nil, addresses: BusAddresses,
    ttl: Duration = .seconds(5), limits: BusLimits = .standard, publishes: Bool? = nil,
    drainGrace: Duration = .seconds(10)
  ) {
    self.service = service
    self.name = name
    self.incarnation = incarnation ?? UInt64(Date().timeIntervalSince1970 * 1e6)
    self.addresses = addresses
    self.ttl = ttl
    self.limits = limits
    self.publishes = publishes ?? (service == .registry)
    self.drainGrace = drainGrace
  }

  /// Where everyone knows the registry to be.
  public var registryMailbox: String {
    switch addresses {
    case .ipc(let directory): "ipc://\(directory)/registry"
    case .tcp(_, _, let registry, _): Self.url(registry)
    case .loopback: "loopback://registry"
    }
  }

  /// The transport that `addresses` ask for. Over `ipc://` the sockets that killed predecessors of
  /// ours left are removed.
  /// - Throws: an address that cannot be used, in a sentence that says what to do.
  public func makeTransport() throws(Failure) -> any Transport {
    try checkName()
    let own = "\(name)-\(String(incarnation, radix: 36))"
    switch addresses {
    case .ipc(let directory):
      if service != .registry { RuntimeDirectory.removeSockets(of: name, in: directory) }
      // Everyone knows the registry's address beforehand; all others carry their incarnation.
      let mailbox = service == .registry ? registryMailbox : "ipc://\(directory)/\(own)"
      let publisher = publishes ? mailbox + ".pub" : nil
      // nanomsg aborts on a longer path.
      for url in [mailbox, publisher ?? ""] where url.utf8.count > 105 {
        throw Failure(
          .invalidRequest,
          "the socket address \(url) is too long: use a shorter --name or runtime directory")
      }
      return try NanomsgTransport(
        NanomsgTransport.Configuration(
          listen: mailbox, mailbox: mailbox, publisherListen: publisher, publisher: publisher))
    case .tcp(let listen, let advertise, let registry, let clusterKey):
      for (what, address) in [("advertised", advertise), ("registry's", registry)] {
        let (host, _) = try Self.parse(address, what)
        guard !["*", "0.0.0.0", "[::]"].contains(host) else {
          throw Failure(
            .invalidRequest,
            "the \(what) bus address \(address) is one to listen on; give one to connect to")
        }
      }
      let seal = try FrameSeal(
        clusterKey: clusterKey, own: PeerID(name: name, incarnation: incarnation))
      // The registry is reached where everyone knows it to be, whatever it would call itself.
      let mailbox = Self.url(service == .registry ? registry : advertise)
      let (host, port) = try Self.parse(listen, "listening")
      // nanomsg binds an interface or an address, not a name.
      let bound = "tcp://\(host == "localhost" ? "127.0.0.1" : host):\(port)"
      return try NanomsgTransport(
        NanomsgTransport.Configuration(
          listen: bound, mailbox: mailbox, publisherListen: publishes ? Self.above(bound) : nil,
          publisher: publishes ? Self.above(mailbox) : nil, seal: seal))
    case .loopback(let network):
      return network.endpoint(
        mailbox: service == .registry ? registryMailbox : "loopback://\(own)",
        publisher: publishes ? "loopback://\(own).pub" : nil)
    }
  }

  /// The name is part of a path, and of metrics' labels.
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
    let text = url(address).dropFirst(6)
    guard let colon = text.lastIndex(of: ":"), colon != text.startIndex,
      let port = Int(text[text.index(after: colon)...]), (1...65_534).contains(port)
    else {
      throw Failure(
        .invalidRequest,
        "the \(what) bus address \"\(address)\" is not HOST:PORT with a port of 1 to 65534")
    }
    return (String(text[..<colon]), port)
  }

  /// The port above, for publishing.
  private static func above(_ url: String) -> String {
    guard let colon = url.lastIndex(of: ":"), let port = Int(url[url.index(after: colon)...]) else {
      preconditionFailure("parsed before: \(url)")
    }
    return "\(url[...colon])\(port + 1)"
  }
}

/// Where the processes of a cluster find each other.
public enum BusAddresses: Sendable {
  /// One machine: sockets in a short directory of mode 0700 (`RuntimeDirectory`).
  case ipc(directory: String)
  /// Many machines: every frame is sealed with a key derived from `clusterKey` (16 bytes or more).
  /// - `listen`: `HOST:PORT` to bind; a publisher also binds the port above.
  /// - `advertise`: `HOST:PORT` at which the others reach us.
  /// - `registry`: `HOST:PORT` at which everyone, itself included, knows the registry.
  case tcp(listen: String, advertise: String, registry: String, clusterKey: [UInt8])
  /// One process, without nanomsg, with the network's faults: for tests.
  case loopback(LoopbackNetwork)
}
