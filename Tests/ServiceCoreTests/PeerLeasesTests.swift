import ClusterModel
import ClusterTesting
import RegistryCore
import Testing

@Suite("Peer leases")
struct PeerLeasesTests {
  private static let registry = peer("registry", 1, service: .registry)

  private static func peer(
    _ name: String, _ incarnation: UInt64, service: ServiceName = .gateway,
    ttl: Duration = .seconds(2)
  ) -> Peer {
    Peer(
      id: PeerID(name: name, incarnation: incarnation), service: service,
      mailbox: "ipc:///x/\(name)-\(incarnation)", version: "1", ttl: ttl)
  }

  private func leases() -> PeerLeases { PeerLeases(epoch: 7, own: Self.registry) }

  @Test("a hello is published once, a renewal not again")
  func renewal() throws {
    var leases = leases()
    let a = Self.peer("a", 1)
    let first = try leases.hello(a, now: at(ms: 0))
    #expect(first == [.publish(PeerTable(epoch: 7, revision: 2, peers: [a, Self.registry]))])
    #expect(try leases.hello(a, now: at(ms: 1_000)) == [])
    #expect(leases.nextExpiry == at(ms: 3_000))
    #expect(leases.expire(now: at(ms: 2_999)) == [])
    #expect(
      leases.expire(now: at(ms: 3_000))
        == [.publish(PeerTable(epoch: 7, revision: 3, peers: [Self.registry]))])
    #expect(leases.expire(now: at(ms: 9_000)) == [])
  }

  @Test("a process is lost once its lease has ended, but not if it left or was replaced")
  func lost() throws {
    var leases = leases()
    for name in ["dies", "leaves", "restarts"] {
      _ = try leases.hello(Self.peer(name, 1), now: at(ms: 0))
    }
    _ = leases.goodbye(Self.peer("leaves", 1).id, now: at(ms: 100))
    _ = try leases.hello(Self.peer("restarts", 2), now: at(ms: 1_500))
    _ = leases.expire(now: at(ms: 1_999))
    #expect(leases.takeLost().isEmpty)
    // The lease ends during the hello of another process.
    _ = try leases.hello(Self.peer("comes", 1), now: at(ms: 2_000))
    #expect(leases.takeLost() == [Self.peer("dies", 1)])
    #expect(leases.takeLost().isEmpty)
  }

  @Test("lost processes that are not taken do not fill the memory")
  func lostBound() throws {
    var leases = leases()
    for round in 0..<3 {
      for index in 0..<PeerLeases.capacity - 1 {
        _ = try leases.hello(Self.peer("\(round)-\(index)", 1), now: at(ms: round * 10_000))
      }
      _ = leases.expire(now: at(ms: round * 10_000 + 5_000))
    }
    #expect(leases.takeLost().count == PeerLeases.capacity)
  }

  @Test("the registry's own row stays, and no other process gets its name")
  func own() throws {
    var leases = leases()
    #expect(leases.goodbye(Self.registry.id, now: at(ms: 0)) == [])
    #expect(leases.expire(now: at(ms: 1_000_000)) == [])
    #expect(leases.table.peers == [Self.registry])
    #expect(
      failureCode { () throws(Failure) in
        _ = try leases.hello(Self.peer("registry", 2), now: at(ms: 0))
      } == .invalidRequest)
  }

  @Test("a restarted process replaces its predecessor, whose late mail changes nothing")
  func restart() throws {
    var leases = leases()
    _ = try leases.hello(Self.peer("a", 9), now: at(ms: 0))
    _ = try leases.hello(Self.peer("a", 4), now: at(ms: 100))
    #expect(leases.table.peers.map(\.id.incarnation).first == 4)
    let before = leases.table
    #expect(leases.goodbye(PeerID(name: "a", incarnation: 9), now: at(ms: 200)) == [])
    #expect(
      failureCode { () throws(Failure) in
        _ = try leases.hello(Self.peer("a", 9), now: at(ms: 200))
      } == .peerLost)
    #expect(leases.table == before)
    #expect(leases.goodbye(PeerID(name: "a", incarnation: 4), now: at(ms: 300)).count == 1)
    #expect(leases.table.peers == [Self.registry])
  }

  @Test("with keys, a name or mailbox is taken over only after its holder has left")
  func takeover() throws {
    func keyed(_ name: String, _ incarnation: UInt64, _ key: UInt8, _ mailbox: String) -> Peer {
      var peer = Self.peer(name, incarnation)
      peer.key = [UInt8](repeating: key, count: 32)
      peer.mailbox = mailbox
      return peer
    }
    var leases = leases()
    let honest = keyed("a", 1, 1, "tcp://10.0.0.1:1")
    _ = try leases.hello(honest, now: at(ms: 0))
    for intruder in [
      keyed("a", 2, 9, "tcp://10.0.0.9:1"), keyed("a", 1, 9, "tcp://10.0.0.1:1"),
      keyed("b", 1, 9, "tcp://10.0.0.1:1"),
    ] {
      #expect(
        failureCode { () throws(Failure) in _ = try leases.hello(intruder, now: at(ms: 10)) }
          == .overloaded)
    }
    #expect(leases.table.peers.first == honest)
    // A process with the same key may take the name over at once. A process with another key may
    // take it over only after the lease has ended.
    let restarted = keyed("a", 3, 1, "tcp://10.0.0.1:1")
    #expect(try leases.hello(restarted, now: at(ms: 20)).count == 1)
    let successor = keyed("a", 4, 2, "tcp://10.0.0.1:1")
    #expect(try leases.hello(successor, now: at(ms: 2_020)).count == 1)
    #expect(leases.table.peers.first == successor)
  }

  @Test("the 513th process is refused, and let in when another's lease is over")
  func capacity() throws {
    var leases = leases()
    for index in 1..<PeerLeases.capacity {
      _ = try leases.hello(Self.peer("p\(index)", 1), now: at(ms: index))
    }
    #expect(leases.count == PeerLeases.capacity)
    #expect(
      failureCode { () throws(Failure) in
        _ = try leases.hello(Self.peer("late", 1), now: at(ms: 600))
      } == .overloaded)
    _ = try leases.hello(Self.peer("p9", 1), now: at(ms: 600))
    // The lease of p1 has ended, although it has not been swept yet.
    _ = try leases.hello(Self.peer("late", 1), now: at(ms: 2_001))
    #expect(leases.table.peers.contains { $0.id.name == "late" })
    #expect(!leases.table.peers.contains { $0.id.name == "p1" })
  }

  @Test("a lease of no length, an empty name and an endless mailbox are refused")
  func nonsense() {
    var leases = leases()
    var long = Self.peer("x", 1)
    long.mailbox = String(repeating: "m", count: 256)
    var version = Self.peer("x", 1)
    version.version = String(repeating: "v", count: 101)
    var service = Self.peer("x", 1, service: .other(String(repeating: "s", count: 101)))
    service.ttl = .seconds(2)
    var key = Self.peer("x", 1)
    key.key = [1, 2, 3]
    let wrong = [
      Self.peer("a", 1, ttl: .zero), Self.peer("a", 1, ttl: .seconds(301)), Self.peer("", 1),
      Self.peer(String(repeating: "n", count: 101), 1), long, version, service, key,
      Self.peer("x", 1, service: .registry),
    ]
    for peer in wrong {
      #expect(
        failureCode { () throws(Failure) in _ = try leases.hello(peer, now: at(ms: 0)) }
          == .invalidRequest)
    }
    #expect(leases.table.peers == [Self.registry])
  }

  @Test(
    "a peer is in the table if and only if its last hello is younger than its lease",
    arguments: 1...30)
  func invariant(_ seed: UInt64) throws {
    struct Known {
      var id: PeerID
      var heard: Instant
      var ttl: Duration
      var replaced: Set<UInt64> = []
    }
    var rng = SeededGenerator(seed: seed)
    var leases = leases()
    var model: [String: Known] = [:]
    var now = 0
    var published = leases.table
    for step in 0..<400 {
      now += Int.random(in: 0...400, using: &rng)
      let time = at(ms: now)
      model = model.filter { $0.value.heard.duration(to: time) < $0.value.ttl }
      let id = PeerID(
        name: "p\(Int.random(in: 0..<6, using: &rng))",
        incarnation: UInt64.random(in: 1...3, using: &rng))
      var directives: [PeerLeases.Directive] = []
      switch Int.random(in: 0..<10, using: &rng) {
      case 0..<6:
        let ttl = Duration.milliseconds(Int.random(in: 500...2_000, using: &rng))
        let refused = model[id.name]?.replaced.contains(id.incarnation) ?? false
        do throws(Failure) {
          directives = try leases.hello(Self.peer(id.name, id.incarnation, ttl: ttl), now: time)
          #expect(!refused, "seed \(seed) step \(step)")
          var known = Known(id: id, heard: time, ttl: ttl, replaced: model[id.name]?.replaced ?? [])
          if let old = model[id.name]?.id, old != id { known.replaced.insert(old.incarnation) }
          model[id.name] = known
        } catch {
          #expect(refused, "seed \(seed) step \(step): \(error)")
        }
      case 6..<8:
        directives = leases.goodbye(id, now: time)
        if model[id.name]?.id == id { model[id.name] = nil }
      default:
        break
      }
      if directives.isEmpty { directives = leases.expire(now: time) }
      let ids = Set(leases.table.peers.map(\.id))
      let expected = Set(model.values.map(\.id)).union([Self.registry.id])
      try #require(ids == expected, "seed \(seed) step \(step)")
      // The last published table is the current one, and revisions only increase.
      if case .publish(let table)? = directives.last {
        #expect(table.revision > published.revision)
        published = table
      }
      try #require(published == leases.table, "seed \(seed) step \(step)")
    }
  }
}
