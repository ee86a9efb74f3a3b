import BusCore
import ClusterModel
import Limits
import Testing
import Wire

@Suite("The bus decides whom it believes")
struct SealedMachineTests {
  static func key(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 32) }

  static func peer(
    _ name: String, _ incarnation: UInt64, _ service: ServiceName, key byte: UInt8,
    port: Int? = nil
  ) -> Peer {
    Peer(
      id: PeerID(name: name, incarnation: incarnation), service: service,
      mailbox: "tcp://10.0.0.1:\(port ?? Int(byte))", key: key(byte), ttl: .seconds(5))
  }

  static let registry = peer("registry", 100, .registry, key: 1)
  static let planner = peer("planner", 2, .planner, key: 2)
  static let agent = peer("agent", 3, .agent(.code), key: 3)
  static let own = peer("gateway", 4, .gateway, key: 4)

  static func seal(_ peer: Peer, isIntroduction: Bool = false) -> SealedSender {
    SealedSender(id: peer.id, key: peer.key, isIntroduction: isIntroduction)
  }

  static func table(
    _ peers: [Peer] = [registry, planner, agent, own], epoch: UInt64 = 100, revision: UInt64 = 1
  ) -> PeerTable {
    PeerTable(epoch: epoch, revision: revision, peers: peers)
  }

  /// The message id of the hello among the directives.
  static func hello(_ directives: [BusDirective]) -> UInt64? {
    for case .send(let envelope, _, _) in directives {
      if case .hello = envelope.body { return envelope.messageID }
    }
    return nil
  }

  static func reply(
    _ id: UInt64, _ body: Body, from peer: Peer = registry
  ) -> Envelope {
    Envelope(
      messageID: id, correlationID: id, shape: .reply, sender: peer.id,
      toIncarnation: own.id.incarnation, body: body)
  }

  /// A gateway that has joined the registry.
  static func joined(registryKey: [UInt8]? = nil) throws -> BusMachine {
    var machine = BusMachine(
      own: own, registryMailbox: registry.mailbox, registryKey: registryKey, firstID: 1_000)
    let introduction = try #require(hello(machine.tick(now: .zero)))
    let second = machine.received(
      reply(introduction, .ack), bytes: 1, from: seal(registry), now: .zero)
    #expect(
      second.first == .seal(mailbox: registry.mailbox, for: Recipient(registry)))
    let id = try #require(hello(second))
    let directives = machine.received(
      reply(id, .peerTable(table())), bytes: 1, from: seal(registry), now: .zero)
    #expect(directives.contains(.seal(mailbox: planner.mailbox, for: Recipient(planner))))
    return machine
  }

  static func cast(_ peer: Peer, id: UInt64 = 1) -> Envelope {
    Envelope(messageID: id, shape: .cast, sender: peer.id, body: .ack)
  }

  // MARK: - Senders

  @Test("a frame whose seal names another process than its envelope is dropped and counted")
  func sender() throws {
    var machine = try Self.joined()
    #expect(
      machine.received(
        Self.cast(Self.planner), bytes: 1, from: Self.seal(Self.agent), now: .zero)
        == [.dropped(reason: "wrong_sender")])
    #expect(
      machine.received(
        Self.cast(Self.planner), bytes: 1, from: Self.seal(Self.planner), now: .zero)
        == [.deliverCast(.ack, from: Self.planner.id)])
  }

  @Test("a listed name under another key, or none, is dropped and counted")
  func wrongKey() throws {
    var machine = try Self.joined()
    let forged = SealedSender(id: Self.planner.id, key: Self.key(9))
    for seal in [forged, nil] {
      #expect(
        machine.received(Self.cast(Self.planner), bytes: 1, from: seal, now: .zero)
          == [.dropped(reason: "wrong_key")])
    }
  }

  @Test("mail that waited for the table counts only if the table lists its key")
  func heldUnderWrongKey() throws {
    var machine = try Self.joined()
    let late = Self.peer("late", 7, .planner, key: 7)
    for (id, key) in [(1, 9), (2, 7)] as [(UInt64, UInt8)] {
      #expect(
        machine.received(
          Self.cast(late, id: id), bytes: 1,
          from: SealedSender(id: late.id, key: Self.key(key)), now: .zero) == [])
    }
    let directives = machine.apply(
      Self.table([Self.registry, Self.planner, late, Self.own], revision: 2), now: .zero)
    #expect(directives.count { $0 == .dropped(reason: "wrong_key") } == 1)
    #expect(directives.count { $0 == .deliverCast(.ack, from: late.id) } == 1)
  }

  @Test("a stream is cancelled by its caller only")
  func cancel() throws {
    var machine = try Self.joined()
    let open = Envelope(
      messageID: 7, shape: .open, sender: Self.planner.id, body: .hostTableRequest)
    _ = machine.received(open, bytes: 1, from: Self.seal(Self.planner), now: .zero)
    for sender in [Self.planner, Self.agent] {
      let cancel = Envelope(
        messageID: 8, correlationID: 7, shape: .cancel, sender: sender.id, body: .ack)
      let directives = machine.received(
        cancel, bytes: 1, from: Self.seal(Self.agent), now: .zero)
      #expect(directives.cancelled(RequestKey(sender: Self.planner.id, messageID: 7)) == nil)
    }
    #expect(machine.handlersRunning == 1)
  }

  // MARK: - The registry

  @Test("tables come from the registry that answered our hello, from no other member")
  func tables() throws {
    var machine = try Self.joined()
    let bodies: [Body] = [
      .peerTable(PeerTable(epoch: 3, revision: 99, peers: [Self.agent])),
      .peerTable(PeerTable(epoch: 100, revision: 99, peers: [Self.agent])),
      .hostTable(HostTable(epoch: 200, revision: 1, hosts: [])),
    ]
    for body in bodies {
      let forged = Envelope(messageID: 5, shape: .publish, sender: Self.agent.id, body: body)
      #expect(
        machine.received(forged, bytes: 1, from: Self.seal(Self.agent), now: .zero)
          == [.dropped(reason: "not_registry")])
    }
    #expect(machine.directory.live(.planner) == [Self.planner])
    let table = HostTable(epoch: 100, revision: 1, hosts: [])
    let honest = Envelope(
      messageID: 5, shape: .publish, sender: Self.registry.id, body: .hostTable(table))
    #expect(
      machine.received(honest, bytes: 1, from: Self.seal(Self.registry), now: .zero)
        == [.deliverPublication(.hostTable(table))])
  }

  @Test("an answer to our hello under another key than the pinned one is not believed")
  func pinned() throws {
    var machine = BusMachine(
      own: Self.own, registryMailbox: Self.registry.mailbox, registryKey: Self.key(1))
    let id = try #require(Self.hello(machine.tick(now: .zero)))
    let impostor = SealedSender(id: Self.registry.id, key: Self.key(9))
    for body in [Body.ack, .peerTable(Self.table())] {
      #expect(machine.received(Self.reply(id, body), bytes: 1, from: impostor, now: .zero) == [])
    }
    #expect(machine.directory.live(.planner) == [])
    #expect(
      Self.hello(
        machine.received(
          Self.reply(id, .ack), bytes: 1, from: Self.seal(Self.registry), now: .zero)) != nil)
  }

  @Test("the first registry that answered is believed from then on, also after it is lost")
  func pinnedByFirst() throws {
    var machine = try Self.joined()
    let lost = machine.connectionLost(to: Self.registry.mailbox, now: .zero)
    #expect(lost.contains(.seal(mailbox: Self.registry.mailbox, for: nil)))
    let id = try #require(
      Self.hello(machine.tick(now: Instant(sinceStart: .milliseconds(300)))))
    var other = Self.registry
    other.key = Self.key(9)
    #expect(
      machine.received(
        Self.reply(id, .ack), bytes: 1, from: Self.seal(other), now: .zero)
        == [.dropped(reason: "wrong_key")])
    other.id = PeerID(name: "registry", incarnation: 101)
    #expect(
      machine.received(
        Self.reply(id, .ack, from: other), bytes: 1, from: Self.seal(other), now: .zero) == [])
  }

  @Test("a registry whose clock stepped back is believed when it answers our own hello")
  func clockSteppedBack() throws {
    var machine = try Self.joined()
    var again = Self.peer("registry", 50, .registry, key: 1)
    again.mailbox = Self.registry.mailbox
    _ = machine.connectionLost(to: Self.registry.mailbox, now: .zero)
    let id = try #require(
      Self.hello(machine.tick(now: Instant(sinceStart: .milliseconds(300)))))
    let second = machine.received(
      Self.reply(id, .ack, from: again), bytes: 1, from: Self.seal(again), now: .zero)
    let bound = try #require(Self.hello(second))
    let table = Self.table([again, Self.planner, Self.own], epoch: 50)
    let directives = machine.received(
      Self.reply(bound, .peerTable(table), from: again), bytes: 1, from: Self.seal(again),
      now: .zero)
    #expect(directives.contains(.peersChanged))
    #expect(machine.directory.table == table)
    // A message of the registry's predecessor may still be in transit.
    let late = Envelope(
      messageID: 1, shape: .publish, sender: Self.registry.id,
      body: .peerTable(Self.table([Self.registry], revision: 9)))
    #expect(
      machine.received(late, bytes: 1, from: Self.seal(Self.registry), now: .zero).first
        == .dropped(reason: "not_registry"))
    #expect(machine.directory.table == table)
  }

  @Test("a table's lines with addresses of another kind or without a key are left out and counted")
  func badLines() throws {
    var machine = try Self.joined()
    var pathological = [Self.registry, Self.planner, Self.own]
    for (index, mailbox) in ["ipc:///tmp/x", "tcp://h", "tcp://eth0;h:1", "inproc://x"].enumerated()
    {
      var peer = Self.peer("x\(index)", 9, .planner, key: 20)
      peer.mailbox = mailbox
      pathological.append(peer)
    }
    var keyless = Self.peer("y", 9, .planner, key: 21)
    keyless.key = []
    pathological.append(keyless)
    let directives = machine.received(
      Envelope(
        messageID: 1, shape: .publish, sender: Self.registry.id,
        body: .peerTable(Self.table(pathological, revision: 2))),
      bytes: 1, from: Self.seal(Self.registry), now: .zero)
    #expect(directives.count { $0 == .dropped(reason: "bad_address") } == 5)
    #expect(machine.directory.live(.planner) == [Self.planner])
  }

  // MARK: - Hellos, at the registry

  static func registryMachine() -> BusMachine {
    var machine = BusMachine(own: registry, registryMailbox: registry.mailbox)
    _ = machine.apply(table([registry, planner]), now: .zero)
    return machine
  }

  static func greeting(_ peer: Peer, id: UInt64 = 1) -> Envelope {
    Envelope(messageID: id, shape: .call, sender: peer.id, body: .hello(peer))
  }

  @Test("a hello under the cluster key alone changes nothing and is answered with who we are")
  func introduction() {
    var machine = Self.registryMachine()
    let before = machine.directory
    let directives = machine.received(
      Self.greeting(Self.agent), bytes: 1, from: Self.seal(Self.agent, isIntroduction: true),
      now: .zero)
    #expect(
      directives.first == .seal(mailbox: Self.agent.mailbox, for: Recipient(Self.agent)))
    guard case .send(let answer, Self.agent.mailbox, _)? = directives.last else {
      Issue.record("\(directives)")
      return
    }
    #expect(answer.body == .ack && answer.correlationID == 1)
    #expect(machine.directory == before && machine.handlersRunning == 0)
    // An introduction may carry only a call with a hello.
    for envelope in [
      Self.cast(Self.agent),
      Envelope(messageID: 2, shape: .call, sender: Self.agent.id, body: .goodbye(Self.agent.id)),
      Envelope(messageID: 3, shape: .open, sender: Self.agent.id, body: .hello(Self.agent)),
    ] {
      #expect(
        machine.received(
          envelope, bytes: 1, from: Self.seal(Self.agent, isIntroduction: true), now: .zero)
          == [.dropped(reason: "introduction_only")])
    }
  }

  @Test("a hello in another's name, for another's mailbox or to a bad address is dropped")
  func foreignHello() {
    var inItsName = Self.agent
    inItsName.id = Self.planner.id
    var atItsMailbox = Self.agent
    atItsMailbox.mailbox = Self.planner.mailbox
    var atOurs = Self.agent
    atOurs.mailbox = Self.registry.mailbox
    var nowhere = Self.agent
    nowhere.mailbox = "ipc:///" + String(repeating: "x", count: 120)
    for isIntroduction in [true, false] {
      for peer in [inItsName, atItsMailbox, atOurs, nowhere] {
        var machine = Self.registryMachine()
        let before = machine.directory
        let seal = SealedSender(
          id: peer.id, key: Self.agent.key, isIntroduction: isIntroduction)
        let directives = machine.received(
          Self.greeting(peer), bytes: 1, from: seal, now: .zero)
        #expect(directives.count == 1, "\(directives)")
        guard case .dropped? = directives.first else {
          Issue.record("\(directives)")
          continue
        }
        #expect(machine.directory == before)
      }
      // The envelope with the planner's hello has the agent as sender.
      var machine = Self.registryMachine()
      let envelope = Envelope(
        messageID: 1, shape: .call, sender: Self.agent.id, body: .hello(Self.planner))
      let directives = machine.received(
        envelope, bytes: 1, from: Self.seal(Self.agent, isIntroduction: isIntroduction),
        now: .zero)
      guard case .dropped? = directives.first else {
        Issue.record("\(directives)")
        continue
      }
    }
  }

  @Test("newcomers that never join are bounded, and the oldest gives way")
  func newcomers() {
    var machine = Self.registryMachine()
    let limit = Limits.busNewcomers.value
    for index in 0..<(limit + 10) {
      let peer = Peer(
        id: PeerID(name: "n\(index)", incarnation: 1), service: .planner,
        mailbox: "tcp://10.0.1.1:\(1_000 + index)", key: Self.key(9), ttl: .seconds(100_000))
      let directives = machine.received(
        Self.greeting(peer), bytes: 1, from: Self.seal(peer),
        now: Instant(sinceStart: .milliseconds(index)))
      #expect(directives.contains { $0.starts(RequestKey(sender: peer.id, messageID: 1)) })
    }
    #expect(machine.directory.all.count == 2 + limit)
    #expect(machine.directory[PeerID(name: "n0", incarnation: 1)] == nil)
    // The leases end on time, although longer ones were requested.
    _ = machine.tick(now: Instant(sinceStart: .seconds(10)))
    #expect(machine.directory.all.map(\.id) == [Self.planner.id, Self.registry.id])
  }

  // MARK: - Shares

  @Test("one sender cannot take the last handlers")
  func handlers() {
    var limits = BusLimits.standard
    limits.handlers = 80
    var machine = BusMachine(own: Self.own, registryMailbox: Self.registry.mailbox, limits: limits)
    _ = machine.apply(Self.table(), now: .zero)
    func ask(_ peer: Peer, _ id: UInt64) -> Failure.Code? {
      machine.received(
        Envelope(messageID: id, shape: .call, sender: peer.id, body: .hostTableRequest),
        bytes: 1, from: Self.seal(peer), now: .zero
      ).sentFailure?.code
    }
    let flood = (1...200 as ClosedRange<UInt64>).map { ask(Self.agent, $0) }
    #expect(flood.count { $0 == nil } == 70)
    #expect((1...10 as ClosedRange<UInt64>).allSatisfy { ask(Self.planner, $0) == nil })
    #expect(ask(Self.planner, 11) == .overloaded)
  }

  @Test("one unlisted sender leaves room for the mail of others")
  func heldShare() throws {
    var machine = try Self.joined()
    let flood = Self.peer("flood", 7, .planner, key: 7)
    let late = Self.peer("late", 8, .planner, key: 8)
    let drops = (1...500 as ClosedRange<UInt64>).flatMap { id in
      machine.received(
        Self.cast(flood, id: id), bytes: 10, from: Self.seal(flood), now: .zero)
    }
    #expect(drops.count == 500 - Limits.busHeldShare.value)
    #expect(
      machine.received(Self.cast(late), bytes: 10, from: Self.seal(late), now: .zero) == [])
  }

  @Test("fragments of unlisted senders wait as mail does, and are put together for the table")
  func fragments() throws {
    var machine = try Self.joined()
    let late = Self.peer("late", 8, .planner, key: 8)
    var envelope = Self.cast(late)
    envelope.body = .taskEvent(.delta(TaskDelta(text: String(repeating: "x", count: 3_000))))
    var limits = BusLimits.standard
    limits.frameBytes = 5_096
    for piece in try Reassembly.split(envelope.encoded(), of: envelope, limits: limits) {
      #expect(
        machine.received(piece, bytes: 1_000, from: Self.seal(late), now: .zero) == [])
    }
    let message = try Self.reassembled(
      by: machine.apply(Self.table([Self.registry, late, Self.own], revision: 2), now: .zero))
    let directives = machine.received(
      message, decodedAs: try Envelope(decoding: message.bytes), now: .zero)
    #expect(directives == [.deliverCast(envelope.body, from: late.id)])
  }

  @Test("a message from fragments must be an envelope with the fragments' sender, id and shape")
  func wrongFragments() throws {
    var machine = try Self.joined()
    let envelope = Self.cast(Self.planner, id: 5)
    var directives: [BusDirective] = []
    for piece in try Reassembly.split(envelope.encoded(), of: envelope, limits: .standard) {
      directives += machine.received(
        piece, bytes: 100, from: Self.seal(Self.planner), now: .zero)
    }
    let message = try Self.reassembled(by: directives)
    var fragment = envelope
    fragment.body = .fragment(Body.Fragment(index: 0, count: 1, data: []))
    var reply = envelope
    reply.shape = .reply
    let wrong: [Envelope?] = [
      nil, fragment, reply, Self.cast(Self.planner, id: 6), Self.cast(Self.agent, id: 5),
    ]
    for other in wrong {
      #expect(
        machine.received(message, decodedAs: other, now: .zero)
          == [.dropped(reason: "bad_fragment")])
    }
    #expect(
      machine.received(message, decodedAs: envelope, now: .zero)
        == [.deliverCast(envelope.body, from: Self.planner.id)])
  }

  private static func reassembled(by directives: [BusDirective]) throws -> ReassembledMessage {
    try #require(
      directives.lazy.compactMap { directive in
        if case .decode(let message) = directive { message } else { nil }
      }.first)
  }
}
