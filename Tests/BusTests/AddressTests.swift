import ClusterModel
import Foundation
import Testing

@testable import Bus

@Suite("Addresses")
struct AddressTests {
  static func failure(_ addresses: BusAddresses, name: String = "gateway-1") -> Failure? {
    let configuration = BusConfiguration(
      service: .gateway, name: name, incarnation: 1, addresses: addresses)
    do throws(Failure) {
      _ = try configuration.makeTransport()
      return nil
    } catch {
      return error
    }
  }

  static func tcp(
    listen: String = "127.0.0.1:7401", advertise: String = "10.0.0.1:7401",
    registry: String = "10.0.0.2:7400", key: Int = 32
  ) -> BusAddresses {
    .tcp(
      listen: listen, advertise: advertise, registry: registry,
      clusterKey: [UInt8](repeating: 1, count: key))
  }

  @Test("the incarnation is part of every mailbox but the registry's")
  func mailboxes() throws {
    func mailbox(_ service: ServiceName, _ addresses: BusAddresses) throws -> String {
      try BusConfiguration(service: service, name: "n-1", incarnation: 35, addresses: addresses)
        .makeTransport().mailbox
    }
    #expect(try mailbox(.gateway, .ipc(directory: "/tmp/d")) == "ipc:///tmp/d/n-1-z")
    #expect(try mailbox(.registry, .ipc(directory: "/tmp/d")) == "ipc:///tmp/d/registry")
    #expect(try mailbox(.gateway, Self.tcp()) == "tcp://10.0.0.1:7401")
    #expect(try mailbox(.registry, Self.tcp()) == "tcp://10.0.0.2:7400")
    let registry = BusConfiguration(service: .registry, name: "r", addresses: Self.tcp())
    #expect(registry.registryMailbox == "tcp://10.0.0.2:7400")
  }

  @Test(
    "an address that is not HOST:PORT is refused by name",
    arguments: [
      "", "host", "host:", ":1", "host:0", "host:65536", "host:x", "host:+1", "tcp://host",
      "eth0;host:1", "ho st:1", "h:1:2", "[::g]:1",
    ])
  func badAddresses(address: String) {
    for addresses in [
      Self.tcp(listen: address), Self.tcp(advertise: address), Self.tcp(registry: address),
    ] {
      let failure = Self.failure(addresses)
      #expect(failure?.code == .invalidRequest && failure?.message.contains("HOST:PORT") == true)
    }
  }

  @Test("tcp needs a key, an address that others can connect to, and accepts the scheme")
  func tcpRules() {
    #expect(Self.failure(Self.tcp()) == nil)
    #expect(Self.failure(Self.tcp(listen: "tcp://*:7401", advertise: "tcp://h:7401")) == nil)
    #expect(Self.failure(Self.tcp(key: 15)) != nil)
    #expect(Self.failure(Self.tcp(advertise: "0.0.0.0:7401")) != nil)
  }

  @Test("a name that does not belong into a path is refused", arguments: ["", "a/b", "..%", "é"])
  func names(name: String) {
    #expect(Self.failure(.ipc(directory: "/tmp/d"), name: name)?.code == .invalidRequest)
  }

  @Test("a socket path that nanomsg would abort over is refused before")
  func longPath() {
    let directory = "/tmp/" + String(repeating: "d", count: 120)
    #expect(Self.failure(.ipc(directory: directory))?.message.contains("too long") == true)
  }

  @Test("binding a taken address is an error that names it")
  func taken() async throws {
    let directory = try RuntimeDirectory.path(forDataDirectory: UUID().uuidString, runtime: nil)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let configuration = BusConfiguration(
      service: .registry, name: "r", addresses: .ipc(directory: directory))
    let first = try configuration.makeTransport()
    try first.start { _ in }
    let second = try configuration.makeTransport()
    let failure = #expect(throws: Failure.self) { try second.start { _ in } }
    #expect(failure?.message.contains("\(directory)/registry") == true)
    await first.stop(grace: .zero)
  }

  @Test(
    "an address from the wire must have our scheme, be in our directory and be short",
    arguments: [
      ("ipc:///d/a", "ipc:///d/b", true), ("ipc:///e/a", "ipc:///d/b", false),
      ("ipc:///d/../d/a", "ipc:///d/b", false), ("ipc:///d//a", "ipc:///d/b", false),
      ("ipc://d/a", "ipc:///d/b", false), ("tcp://h:1", "ipc:///d/b", false),
      ("tcp://h:1", "tcp://g:2", true), ("tcp://[::1]:1", "tcp://g:2", true),
      ("tcp://eth0;h:1", "tcp://g:2", false), ("tcp://h", "tcp://g:2", false),
      ("tcp://h:99999", "tcp://g:2", false), ("tcp://h:1\u{0}", "tcp://g:2", false),
      ("inproc://x", "tcp://g:2", false), ("", "tcp://g:2", false), ("://", "tcp://g:2", false),
    ] as [(String, String, Bool)])
  func fromTheWire(address: String, own: String, isUsable: Bool) {
    #expect((MailboxAddress(address, matching: own) != nil) == isUsable, "\(address)")
  }

  @Test("a path that nanomsg would abort over is no address")
  func longAddresses() {
    for count in 1...300 {
      let path = "ipc:///d/" + String(repeating: "x", count: count)
      #expect((MailboxAddress(path) != nil) == (count <= 96), "\(count)")
    }
    #expect(MailboxAddress("tcp://" + String(repeating: "h", count: 254) + ":1") == nil)
  }

  // MARK: - Socket directory

  @Test("a data directory of any length gets a short directory of its own, always the same")
  func runtimeDirectory() throws {
    let data = "/tmp/" + String(repeating: "x", count: 200) + UUID().uuidString
    let path = try RuntimeDirectory.path(forDataDirectory: data, runtime: nil)
    defer { try? FileManager.default.removeItem(atPath: path) }
    #expect(path.utf8.count <= RuntimeDirectory.maximumLength)
    #expect(path == (try RuntimeDirectory.path(forDataDirectory: data + "/.", runtime: nil)))
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o700)
    let other = try RuntimeDirectory.path(forDataDirectory: data + "y", runtime: nil)
    defer { try? FileManager.default.removeItem(atPath: other) }
    #expect(other != path)
  }

  @Test("XDG_RUNTIME_DIR is used when it is there and short")
  func runtimeVariable() throws {
    let runtime = "/tmp/r" + UUID().uuidString.prefix(6)
    try FileManager.default.createDirectory(atPath: runtime, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: runtime) }
    let path = try RuntimeDirectory.path(forDataDirectory: "/tmp/x", runtime: runtime)
    #expect(path.hasPrefix(runtime + "/tutti-"))
    for unusable in ["", "/nowhere/at/all", "/tmp/" + String(repeating: "l", count: 80)] {
      let data = UUID().uuidString
      let path = try RuntimeDirectory.path(forDataDirectory: data, runtime: unusable)
      defer { try? FileManager.default.removeItem(atPath: path) }
      #expect(path.hasPrefix("/tmp/tutti-"))
    }
  }

  @Test("a directory that others may enter, or that is a link, is refused")
  func unsafeDirectory() throws {
    let data = UUID().uuidString
    let path = try RuntimeDirectory.path(forDataDirectory: data, runtime: nil)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
    #expect(throws: Failure.self) {
      try RuntimeDirectory.path(forDataDirectory: data, runtime: nil)
    }
    try FileManager.default.removeItem(atPath: path)
    let target = path + "-target"
    try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
    #expect(throws: Failure.self) {
      try RuntimeDirectory.path(forDataDirectory: data, runtime: nil)
    }
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.removeItem(atPath: target)
  }

  @Test("sockets of killed predecessors are removed, those of others stay")
  func predecessors() throws {
    let directory = try RuntimeDirectory.path(forDataDirectory: UUID().uuidString, runtime: nil)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let names = [
      "agent-code-1-abc", "agent-code-1-abd", "agent-code-1-2-abc", "agent-code-2-abc",
      "registry", "agent-code-1-a_c",
    ]
    for name in names { try Data().write(to: URL(filePath: "\(directory)/\(name)")) }
    RuntimeDirectory.removeSockets(of: "agent-code-1", in: directory)
    let left = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    #expect(left == names.dropFirst(2).sorted())
  }
}
