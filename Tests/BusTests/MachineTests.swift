import BusCore
import ClusterModel
import Testing

@Suite("The bus decides")
struct MachineTests {
  static let registry = Peer(
    id: PeerID(name: "registry-1", incarnation: 1), service: .registry, mailbox: "m://registry",
    ttl: .seconds(5))
  static let planner = Peer(
    id: PeerID(name: "planner-1", incarnation: 2), service: .planner, mailbox: "m://planner-1",
    ttl: .seconds(5))
  static let other = Peer(
    id: PeerID(name: "planner-2", incarnation: 3), service: .planner, mailbox: "m://planner-2",
    ttl: .seconds(5))
  static let own = Peer(
    id: PeerID(name: "gateway-1", incarnation: 4), service: .gateway, mailbox: "m://gateway-1",
    ttl: .seconds(5))

  static func machine(
    _ peers: [Peer] = [registry, planner, own], limits: BusLimits = .standard
  ) -> BusMachine {
    var machine = BusMachine(own: own, registryMailbox: registry.mailbox, limits: limits)
    _ = machine.apply(PeerTable(epoch: 1, revision: 1, peers: peers), now: .zero)
    return machine
  }

  static func at(_ milliseconds: Int) -> Instant {
    Instant(sinceStart: .milliseconds(milliseconds))
  }

  /// Sends a request, by default a call to a planner. Returns its message id and the directives.
  static func ask(
    _ machine: inout BusMachine, isStream: Bool = false, deadline: Duration? = .seconds(10),
    to destination: Destination = .service(.planner), at now: Instant = .zero
  ) -> (id: UInt64, directives: [BusDirective]) {
    let id = machine.reserveID()
    return (
      id,
      machine.ask(
        id, .hostTableRequest, to: destination, isStream: isStream, deadline: deadline, trace: nil,
        idempotencyKey: [], now: now)
    )
  }

  static func request(
    _ id: UInt64, from peer: Peer = planner, shape: Envelope.Shape = .call,
    remaining: Duration? = nil
  ) -> Envelope {
    Envelope(
      messageID: id, shape: shape, sender: peer.id, toIncarnation: own.id.incarnation,
      remaining: remaining, body: .hostTableRequest)
  }

  static func answer(
    _ shape: Envelope.Shape, to id: UInt64, from peer: Peer = planner, sequence: UInt32 = 0,
    _ body: Body = .ack
  ) -> Envelope {
    Envelope(
      messageID: id, correlationID: id, shape: shape, sender: peer.id,
      toIncarnation: own.id.incarnation, sequence: sequence, body: body)
  }

  // MARK: - Calls

  @Test("calls that are due at once end in the order in which they were made")
  func order() {
    var machine = Self.machine()
    let ids = (0..<32).map { _ in Self.ask(&machine, deadline: .seconds(1)).id }
    let ended = machine.tick(now: Self.at(1_000)).compactMap { directive -> UInt64? in
      if case .resolve(let id, _) = directive { id } else { nil }
    }
    #expect(ended == ids)
  }

  @Test("a call goes to the live process of the service, and its reply resolves it once")
  func call() {
    var machine = Self.machine()
    let (id, directives) = Self.ask(&machine)
    let sent = Envelope(
      messageID: id, shape: .call, sender: Self.own.id, toIncarnation: 2, remaining: .seconds(10),
      body: .hostTableRequest)
    #expect(directives == [.send(sent, to: Self.planner.mailbox, .data)])
    #expect(machine.peer(of: id) == Self.planner.id)
    let reply = Self.answer(.reply, to: id)
    #expect(
      machine.received(reply, bytes: 10, now: Self.at(5)) == [.resolve(id, .success(.ack))])
    #expect(machine.received(reply, bytes: 10, now: Self.at(6)) == [])
    #expect(!machine.isBusy)
  }

  @Test("a reply from another process resolves no call")
  func strangersReply() {
    var machine = Self.machine([Self.registry, Self.planner, Self.other, Self.own])
    let (id, _) = Self.ask(&machine, to: .peer(Self.planner.id))
    let forged = Self.answer(.reply, to: id, from: Self.other)
    #expect(machine.received(forged, bytes: 10, now: .zero) == [])
    #expect(machine.peer(of: id) == Self.planner.id)
  }

  @Test("calls spread over the processes of a service")
  func spread() {
    var machine = Self.machine([Self.registry, Self.planner, Self.other, Self.own])
    let asked = (0..<10).map { _ in
      let (id, _) = Self.ask(&machine)
      return machine.peer(of: id)
    }
    #expect(asked.count { $0 == Self.planner.id } == 5)
    #expect(asked.count { $0 == Self.other.id } == 5)
  }

  @Test("without a live process the call fails at once and names the service")
  func nobody() {
    var machine = Self.machine([Self.registry, Self.own])
    let (id, directives) = Self.ask(&machine)
    guard case .resolve(id, .failure(let failure))? = directives.first else {
      Issue.record("\(directives)")
      return
    }
    #expect(failure.code == .noPeer && failure.message.contains("planner"))
    let (second, gone) = Self.ask(&machine, to: .peer(Self.planner.id))
    guard case .resolve(second, .failure(let lost))? = gone.first else {
      Issue.record("\(gone)")
      return
    }
    #expect(lost.code == .peerLost)
  }

  @Test("at its deadline a call fails and the peer gets a cancellation")
  func deadline() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, deadline: .milliseconds(100))
    #expect(!machine.tick(now: Self.at(99)).contains { $0.isOutcome(of: id) })
    let directives = machine.tick(now: Self.at(100))
    #expect(directives.failure(of: id)?.code == .deadlineExceeded)
    #expect(directives.contains { $0.sends(.cancel, about: id) })
    #expect(machine.received(Self.answer(.reply, to: id), bytes: 1, now: Self.at(101)) == [])
  }

  @Test("no more requests than the limit are on their way at once")
  func outgoingLimit() {
    var limits = BusLimits.standard
    limits.outgoing = 2
    var machine = Self.machine(limits: limits)
    for _ in 0..<2 {
      let (id, directives) = Self.ask(&machine)
      #expect(directives.failure(of: id) == nil)
    }
    let (id, directives) = Self.ask(&machine)
    #expect(directives.failure(of: id)?.code == .overloaded)
  }

  // MARK: - Streams

  @Test("items arrive in order, duplicates are dropped, a gap ends the stream and cancels it")
  func gap() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, isStream: true)
    func item(_ sequence: UInt32) -> [BusDirective] {
      machine.received(Self.answer(.item, to: id, sequence: sequence), bytes: 9, now: .zero)
    }
    #expect(item(0) == [.item(id, .ack, bytes: 9)])
    #expect(item(0) == [.dropped(reason: "duplicate")])
    #expect(item(1) == [.item(id, .ack, bytes: 9)])
    let directives = item(3)
    #expect(directives.failure(of: id)?.code == .streamGap)
    #expect(directives.contains { $0.sends(.cancel, about: id) })
    #expect(item(2) == [])
  }

  @Test("an end that comes before the last item is a gap, not an end")
  func earlyEnd() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, isStream: true)
    let directives = machine.received(
      Self.answer(.end, to: id, sequence: 1), bytes: 1, now: .zero)
    #expect(directives.failure(of: id)?.code == .streamGap)
    let (second, _) = Self.ask(&machine, isStream: true)
    #expect(
      machine.received(Self.answer(.end, to: second, sequence: 0), bytes: 1, now: .zero)
        == [.ended(second, nil)])
  }

  // MARK: - Handlers

  @Test("a request starts a handler once, however often it arrives")
  func duplicateRequest() {
    var machine = Self.machine()
    let request = Self.request(7, remaining: .seconds(1))
    let key = RequestKey(sender: Self.planner.id, messageID: 7)
    let started = BusRequest(
      body: .hostTableRequest, sender: Self.planner.id, trace: nil, remaining: .seconds(1),
      idempotencyKey: [])
    #expect(
      machine.received(request, bytes: 1, now: .zero) == [
        .connect(Self.planner.mailbox), .startCall(key, started),
      ])
    #expect(
      machine.received(request, bytes: 1, now: .zero) == [.dropped(reason: "duplicate")])
    let reply = machine.reply(key, .success(.ack))
    #expect(reply.contains { $0.sends(.reply, about: 7) })
    #expect(
      machine.received(request, bytes: 1, now: .zero) == [.dropped(reason: "duplicate")])
    #expect(machine.reply(key, .success(.ack)) == [])
    // The request stays a duplicate if its sender is lost and found again.
    _ = machine.connectionLost(to: Self.planner.mailbox, now: .zero)
    #expect(
      machine.received(request, bytes: 1, now: .zero) == [.dropped(reason: "duplicate")])
  }

  @Test("a cancel reaches the handler, and one that overtakes its request prevents it")
  func cancel() {
    var machine = Self.machine()
    _ = machine.received(Self.request(7, shape: .open), bytes: 1, now: .zero)
    let key = RequestKey(sender: Self.planner.id, messageID: 7)
    let directives = machine.received(
      Envelope(messageID: 8, correlationID: 7, shape: .cancel, sender: key.sender, body: .ack),
      bytes: 1, now: .zero)
    #expect(directives.cancelled(key)?.code == .cancelled)
    #expect(throws: Failure.self) { try machine.item(key, .ack) }

    _ = machine.received(
      Envelope(messageID: 10, correlationID: 9, shape: .cancel, sender: key.sender, body: .ack),
      bytes: 1, now: .zero)
    #expect(
      machine.received(Self.request(9, shape: .open), bytes: 1, now: .zero)
        == [.dropped(reason: "duplicate")])
  }

  @Test("a handler whose caller's deadline passed is cancelled")
  func handlerDeadline() {
    var machine = Self.machine()
    _ = machine.received(Self.request(7, remaining: .milliseconds(50)), bytes: 1, now: .zero)
    let key = RequestKey(sender: Self.planner.id, messageID: 7)
    #expect(machine.tick(now: Self.at(49)).cancelled(key) == nil)
    #expect(machine.tick(now: Self.at(50)).cancelled(key)?.code == .deadlineExceeded)
    #expect(machine.handlersRunning == 0)
  }

  @Test("a service with a limit of its own refuses in its own words, before the bus does")
  func ownLimit() {
    #expect(BusLimits.admitting(4_096).handlers > 4_096)
    #expect(BusLimits.admitting(10) == .standard)
  }

  @Test("over the limit of handlers, and while draining, requests are refused with the reason")
  func refusals() {
    var limits = BusLimits.standard
    limits.handlers = 1
    var machine = Self.machine(limits: limits)
    _ = machine.received(Self.request(1), bytes: 1, now: .zero)
    #expect(
      machine.received(Self.request(2), bytes: 1, now: .zero).sentFailure?.code == .overloaded)
    machine.beginDraining()
    #expect(
      machine.received(Self.request(3, shape: .open), bytes: 1, now: .zero).sentFailure?.code
        == .shuttingDown)
  }

  // MARK: - Peers

  @Test("mail for another incarnation is dropped")
  func wrongIncarnation() {
    var machine = Self.machine()
    var request = Self.request(1)
    request.toIncarnation = 3
    #expect(
      machine.received(request, bytes: 1, now: .zero) == [.dropped(reason: "wrong_incarnation")])
  }

  @Test("messages of an unlisted sender wait for the table for at most two seconds")
  func held() {
    var machine = Self.machine()
    #expect(machine.received(Self.request(1, from: Self.other), bytes: 1, now: .zero) == [])
    #expect(machine.tick(now: .zero).contains { $0.sendsHello })
    let table = PeerTable(
      epoch: 1, revision: 2, peers: [Self.registry, Self.planner, Self.other, Self.own])
    let directives = machine.apply(table, now: Self.at(100))
    #expect(directives.contains { $0.starts(RequestKey(sender: Self.other.id, messageID: 1)) })

    let stranger = Peer(
      id: PeerID(name: "x", incarnation: 9), service: .planner, mailbox: "m://x", ttl: .seconds(5))
    var cast = Self.request(5, from: stranger)
    cast.shape = .cast
    #expect(machine.received(cast, bytes: 1, now: Self.at(200)) == [])
    #expect(!machine.tick(now: Self.at(2_199)).contains(.dropped(reason: "unknown_peer")))
    #expect(machine.tick(now: Self.at(2_200)).contains(.dropped(reason: "unknown_peer")))
  }

  @Test("held mail is bounded by number and by bytes")
  func heldBounds() {
    var limits = BusLimits.standard
    limits.heldMessages = 2
    limits.heldBytes = 100
    var machine = Self.machine(limits: limits)
    func receive(_ id: UInt64, _ bytes: Int) -> [BusDirective] {
      machine.received(Self.request(id, from: Self.other), bytes: bytes, now: .zero)
    }
    #expect(receive(1, 60) == [])
    #expect(receive(2, 60) == [.dropped(reason: "unknown_peer")])
    #expect(receive(3, 40) == [])
    #expect(receive(4, 0) == [.dropped(reason: "unknown_peer")])
  }

  @Test("a broken connection ends at once everything in flight with that peer, and nothing else")
  func lost() {
    var machine = Self.machine([Self.registry, Self.planner, Self.other, Self.own])
    let (call, _) = Self.ask(&machine, to: .peer(Self.planner.id))
    let (stream, _) = Self.ask(&machine, isStream: true, to: .peer(Self.planner.id))
    let (safe, _) = Self.ask(&machine, to: .peer(Self.other.id))
    _ = machine.received(Self.request(1), bytes: 1, now: .zero)
    let directives = machine.connectionLost(to: Self.planner.mailbox, now: .zero)
    #expect(directives.failure(of: call)?.code == .peerLost)
    #expect(directives.failure(of: stream)?.code == .peerLost)
    #expect(directives.failure(of: safe) == nil)
    let key = RequestKey(sender: Self.planner.id, messageID: 1)
    #expect(directives.cancelled(key)?.code == .peerLost)
    #expect(directives.contains(.peerLost(Self.planner.id)))
    #expect(machine.directory.live(.planner).map(\.id) == [Self.other.id])
    // Any message from the lost peer makes it live again.
    let cast = Envelope(messageID: 99, shape: .pong, sender: Self.planner.id, body: .ack)
    _ = machine.received(cast, bytes: 1, now: Self.at(10))
    #expect(machine.directory.live(.planner).count == 2)
  }

  @Test("a peer with work of ours is pinged after a second of silence and lost after three")
  func heartbeat() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, deadline: nil)
    #expect(!machine.tick(now: Self.at(999)).contains { $0.sends(.ping) })
    #expect(machine.tick(now: Self.at(1_000)).contains { $0.sends(.ping) })
    #expect(machine.tick(now: Self.at(2_999)).failure(of: id) == nil)
    #expect(machine.tick(now: Self.at(3_000)).failure(of: id)?.code == .peerLost)
  }

  @Test("after this process was stopped, a peer gets a second to answer the first ping")
  func stopped() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, deadline: nil)
    #expect(machine.tick(now: Self.at(9_000)).contains { $0.sends(.ping) })
    #expect(machine.tick(now: Self.at(9_020)).failure(of: id) == nil)
    #expect(machine.tick(now: Self.at(10_000)).failure(of: id)?.code == .peerLost)
  }

  @Test("a pong keeps a silent peer alive, and pings are answered without a handler")
  func pong() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, deadline: nil)
    _ = machine.tick(now: Self.at(1_000))
    let pong = Envelope(messageID: 5, shape: .pong, sender: Self.planner.id, body: .ack)
    #expect(machine.received(pong, bytes: 1, now: Self.at(2_900)) == [])
    #expect(machine.tick(now: Self.at(3_100)).failure(of: id) == nil)
    let ping = Envelope(messageID: 6, shape: .ping, sender: Self.planner.id, body: .ack)
    #expect(
      machine.received(ping, bytes: 1, now: Self.at(3_100)).contains { $0.sends(.pong, about: 6) })
  }

  @Test("a peer that leaves the table is lost; a restarted process is another peer")
  func restart() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine)
    let again = Peer(
      id: PeerID(name: "planner-1", incarnation: 22), service: .planner, mailbox: "m://planner-1b",
      ttl: .seconds(5))
    let directives = machine.apply(
      PeerTable(epoch: 1, revision: 2, peers: [Self.registry, again, Self.own]), now: .zero)
    #expect(directives.failure(of: id)?.code == .peerLost)
    #expect(directives.contains(.disconnect(Self.planner.mailbox)))
    #expect(machine.directory.live(.planner) == [again])
    // An older table does not bring back the planner's earlier incarnation.
    #expect(
      machine.apply(PeerTable(epoch: 1, revision: 1, peers: [Self.planner]), now: .zero) == [])
  }

  @Test("a new registry with an empty table removes no peer until the leases end")
  func newRegistry() {
    var machine = Self.machine()
    let (id, _) = Self.ask(&machine, deadline: nil)
    let registry = Peer(
      id: PeerID(name: "registry-1", incarnation: 50), service: .registry,
      mailbox: Self.registry.mailbox, ttl: .seconds(5))
    let directives = machine.apply(
      PeerTable(epoch: 50, revision: 1, peers: [registry]), now: Self.at(100))
    #expect(directives.failure(of: id) == nil)
    #expect(machine.directory.live(.planner) == [Self.planner])
    #expect(!directives.contains(.disconnect(Self.registry.mailbox)))
    // The planner never sends a hello to the new registry.
    let late = machine.tick(now: Self.at(5_100))
    #expect(late.failure(of: id)?.code == .peerLost)
    #expect(machine.directory.live(.planner) == [])
  }

  @Test("a process that is shutting down gets no more messages")
  func shuttingDown() {
    var machine = Self.machine([Self.registry, Self.planner, Self.other, Self.own])
    let (id, _) = Self.ask(&machine, to: .peer(Self.planner.id))
    let refusal = Body.failure(Failure(.shuttingDown, "bye"))
    _ = machine.received(Self.answer(.reply, to: id, refusal), bytes: 1, now: .zero)
    #expect(machine.directory.live(.planner).map(\.id) == [Self.other.id])
  }

  @Test("hellos come quickly at first, then three times in a lease, and again for a new registry")
  func hellos() {
    var machine = BusMachine(own: Self.own, registryMailbox: Self.registry.mailbox)
    var intervals: [Int] = []
    var last = 0
    for time in stride(from: 0, to: 12_000, by: 1) {
      for case .send(let hello, to: Self.registry.mailbox, .control) in machine.tick(
        now: Self.at(time))
      {
        intervals.append(time - last)
        last = time
        let table = PeerTable(epoch: 1, revision: 1, peers: [Self.registry, Self.own])
        let answer = Self.answer(
          .reply, to: hello.messageID, from: Self.registry, .peerTable(table))
        _ = machine.received(answer, bytes: 1, now: Self.at(time))
      }
    }
    #expect(intervals.prefix(7) == [0, 50, 100, 200, 400, 800, 1_600])
    #expect(intervals.dropFirst(7).allSatisfy { $0 == 1_667 })
  }

  @Test("a goodbye is answered although its sender has left the table by it")
  func goodbye() {
    var registry = BusMachine(own: Self.registry, registryMailbox: Self.registry.mailbox)
    let all = PeerTable(epoch: 1, revision: 1, peers: [Self.registry, Self.planner])
    _ = registry.apply(all, now: .zero)
    let goodbye = Envelope(
      messageID: 7, shape: .call, sender: Self.planner.id, body: .goodbye(Self.planner.id))
    let key = RequestKey(sender: Self.planner.id, messageID: 7)
    #expect(registry.received(goodbye, bytes: 1, now: .zero).contains { $0.starts(key) })
    let left = registry.apply(
      PeerTable(epoch: 1, revision: 2, peers: [Self.registry]), now: .zero)
    #expect(left.contains(.peerLost(Self.planner.id)))
    #expect(left.cancelled(key) == nil)
    let reply = registry.reply(key, .success(.ack))
    #expect(reply.contains { $0.sends(.reply, about: 7) })
    #expect(registry.handlersRunning == 0)
  }

  @Test("before leaving, a barrier shows that the peer got our last answers")
  func barrier() {
    var machine = Self.machine()
    _ = machine.received(Self.request(1), bytes: 1, now: .zero)
    _ = machine.reply(RequestKey(sender: Self.planner.id, messageID: 1), .success(.ack))
    #expect(machine.answeredPeers == [Self.planner.id])
    let id = machine.reserveID()
    let directives = machine.barrier(id, to: Self.planner.id, now: .zero)
    #expect(directives.contains { $0.sends(.ping) })
    #expect(
      machine.received(Self.answer(.pong, to: id), bytes: 1, now: .zero)
        == [.resolve(id, .success(.ack))])
  }
}
