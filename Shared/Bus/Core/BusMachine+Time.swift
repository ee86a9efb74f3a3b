public import ClusterModel

extension BusMachine {
  /// Delay of the next hello after an unanswered one.
  static let helloRetry: Duration = .milliseconds(200)
  static let helloDeadline: Duration = .seconds(1)
  static let firstHelloInterval: Duration = .milliseconds(50)

  /// Advances time: checks deadlines, leases and heartbeats. Everything that is due is sorted, so
  /// that the same events give the same directives.
  public mutating func tick(now: Instant) -> [BusDirective] {
    var directives = hello(now: now)
    let late = outgoing.filter { $0.value.deadline.map { $0 <= now } ?? false }
    for (id, request) in late.sorted(by: { $0.key < $1.key }) {
      let failure = Failure(
        .deadlineExceeded, "\(request.peer?.name ?? "the registry") did not answer in time")
      switch request.kind {
      case .hello:
        outgoing[id] = nil
        nextHello = now + Self.helloRetry
        directives += forgetRegistry()
      case .call: directives += [.resolve(id, .failure(failure))] + abandon(id)
      case .stream: directives += [.ended(id, failure)] + abandon(id)
      }
    }
    let overdue = incoming.filter { $0.value.deadline.map { $0 <= now } ?? false }
    for (key, request) in overdue.sorted(by: { $0.key < $1.key }) {
      let failure = Failure(.deadlineExceeded, "the caller's deadline passed")
      directives += request.isStream ? finish(key, failure) : reply(key, .failure(failure))
      directives.append(.cancelHandler(key, failure))
    }
    let tooOld = held.count { $0.since + limits.heldFor <= now }
    if tooOld > 0 {
      held.removeAll { $0.since + limits.heldFor <= now }
      directives += Array(repeating: .dropped(reason: "unknown_peer"), count: tooOld)
    }
    for _ in 0..<reassembly.expire(now: now) {
      directives.append(.dropped(reason: "unfinished_fragments"))
    }
    for peer in directory.expire(now: now) {
      directives += lose(peer.id, why: "its lease ended", now: now) + [.disconnect(peer.mailbox)]
    }
    directives += heartbeat(now: now)
    return directives
  }

  mutating func hello(now: Instant) -> [BusDirective] {
    guard !isRegistry, !isDraining, nextHello <= now,
      !outgoing.values.contains(where: { $0.kind == .hello })
    else { return [] }
    let id = reserveID()
    outgoing[id] = Outgoing(
      kind: .hello, peer: nil, mailbox: registryMailbox, deadline: now + Self.helloDeadline)
    nextHello = now + own.ttl / 3
    let envelope = Envelope(
      messageID: id, shape: .call, sender: own.id, remaining: Self.helloDeadline,
      body: .hello(own))
    return [.send(envelope, to: registryMailbox, .control)]
  }

  private mutating func heartbeat(now: Instant) -> [BusDirective] {
    var directives: [BusDirective] = []
    let silent = heartbeats.filter { $0.value.lastReceived.duration(to: now) >= limits.pingAfter }
    for (id, record) in silent.sorted(by: { $0.key < $1.key }) {
      let silence = record.lastReceived.duration(to: now)
      // After a pause of this process all peers seem silent, so a peer first gets time to answer a
      // ping.
      if silence >= limits.lostAfter,
        record.firstPing.map({ $0.duration(to: now) >= limits.pingAfter }) ?? false
      {
        directives += lose(id, why: "it has been silent for \(limits.lostAfter)", now: now)
      } else if silence >= limits.pingAfter,
        record.pinged.map({ $0.duration(to: now) >= limits.pingAfter }) ?? true,
        let peer = directory[id]
      {
        heartbeats[id]?.pinged = now
        heartbeats[id]?.firstPing = record.firstPing ?? now
        let ping = Envelope(
          messageID: reserveID(), shape: .ping, sender: own.id,
          toIncarnation: id.incarnation, body: .ack)
        directives.append(.send(ping, to: peer.mailbox, .control))
      }
    }
    return directives
  }

  // MARK: - Leaving

  /// Refuses requests and stops renewing the lease from now on.
  public mutating func beginDraining() { isDraining = true }

  /// Ends all handlers that still run.
  public mutating func cancelHandlers() -> [BusDirective] {
    let failure = Failure(.shuttingDown, "\(own.id.name) is shutting down", retryAfter: .seconds(1))
    var directives: [BusDirective] = []
    for (key, request) in incoming.sorted(by: { $0.key < $1.key }) {
      directives += request.isStream ? finish(key, failure) : reply(key, .failure(failure))
      directives.append(.cancelHandler(key, failure))
    }
    return directives
  }

  /// Live peers that must confirm the last answers of this process before it closes, because
  /// closing drops the frames that nanomsg accepted but has not sent yet.
  public var answeredPeers: [PeerID] { answered.filter { directory.isLive($0) }.sorted() }

  /// Sends a ping to the peer. The peer's answer proves that all earlier messages have arrived.
  public mutating func barrier(_ id: UInt64, to peer: PeerID, now: Instant) -> [BusDirective] {
    guard let line = directory[peer] else {
      return [.resolve(id, .failure(Failure(.peerLost, "\(peer.name) left the cluster")))]
    }
    outgoing[id] = Outgoing(
      kind: .call, peer: peer, mailbox: line.mailbox, deadline: now + Self.helloDeadline)
    begin(with: peer, now: now)
    let ping = Envelope(
      messageID: id, shape: .ping, sender: own.id, toIncarnation: peer.incarnation, body: .ack)
    // The ping uses the lane of the answers, so that it does not overtake them.
    return [.send(ping, to: line.mailbox, .data)]
  }

  /// Informs the registry that this process leaves. The registry's answer confirms it.
  public mutating func goodbye(_ id: UInt64, now: Instant) -> [BusDirective] {
    outgoing[id] = Outgoing(
      kind: .call, peer: nil, mailbox: registryMailbox, deadline: now + Self.helloDeadline)
    let envelope = Envelope(
      messageID: id, shape: .call, sender: own.id, remaining: Self.helloDeadline,
      body: .goodbye(own.id))
    return [.send(envelope, to: registryMailbox, .control)]
  }
}
