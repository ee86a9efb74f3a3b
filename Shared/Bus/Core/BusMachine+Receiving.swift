public import ClusterModel
public import Wire

extension BusMachine {
  /// A message arrived.
  /// - Parameter bytes: its size on the wire, for the bounds of buffers.
  public mutating func received(_ envelope: Envelope, bytes: Int, now: Instant) -> [BusDirective] {
    if let meant = envelope.toIncarnation, meant != own.id.incarnation {
      return [.dropped(reason: "wrong_incarnation")]
    }
    if envelope.sender == own.id, envelope.shape == .publish { return [] }
    directory.heard(from: envelope.sender)
    heartbeats[envelope.sender]?.heard = now
    heartbeats[envelope.sender]?.pinged = nil

    if case .fragment(let fragment) = envelope.body {
      return receivedFragment(fragment, envelope, now: now)
    }
    switch envelope.shape {
    case .call, .open: return receivedRequest(envelope, bytes: bytes, now: now)
    case .reply: return receivedReply(envelope, now: now)
    case .item: return receivedItem(envelope, bytes: bytes)
    case .end: return receivedEnd(envelope)
    case .cancel:
      let key = RequestKey(sender: envelope.sender, messageID: envelope.correlationID)
      guard incoming.removeValue(forKey: key) != nil else {
        // Cancels travel in the control lane and may overtake what they cancel: it is refused as a
        // duplicate when it comes.
        if directory[key.sender] != nil { _ = remember(key) }
        return []
      }
      end(with: key.sender)
      return [.cancelHandler(key, Failure(.cancelled, "the caller cancelled"))]
    case .cast:
      guard directory[envelope.sender] != nil else { return hold(envelope, bytes: bytes, now: now) }
      guard remember(RequestKey(sender: envelope.sender, messageID: envelope.messageID)) else {
        return [.dropped(reason: "duplicate")]
      }
      return [.deliverCast(envelope.body, from: envelope.sender)]
    case .publish:
      if case .peerTable(let table) = envelope.body { return apply(table, now: now) }
      return [.deliverPublication(envelope.body)]
    case .ping:
      guard let peer = directory[envelope.sender] else { return [] }
      let pong = Envelope(
        messageID: reserveID(), correlationID: envelope.messageID, shape: .pong, sender: own.id,
        toIncarnation: peer.id.incarnation, body: .ack)
      return [.send(pong, to: peer.mailbox, .control)]
    case .pong:
      guard let request = expected(envelope), request.kind == .call else { return [] }
      outgoing[envelope.correlationID] = nil
      end(with: request.peer)
      return [.resolve(envelope.correlationID, .success(.ack))]
    }
  }

  private mutating func receivedFragment(
    _ fragment: Body.Fragment, _ envelope: Envelope, now: Instant
  ) -> [BusDirective] {
    switch reassembly.add(fragment, of: Reassembly.Key(envelope), now: now) {
    case .waiting: return []
    case .refused(let reason): return [.dropped(reason: reason)]
    case .complete(let packed):
      var wire = WireLimits.standard
      wire.frameBytes = limits.messageBytes
      guard let whole = try? Envelope(decoding: packed, limits: wire),
        whole.sender == envelope.sender, whole.messageID == envelope.messageID,
        whole.shape == envelope.shape
      else { return [.dropped(reason: "bad_fragment")] }
      if case .fragment = whole.body { return [.dropped(reason: "bad_fragment")] }
      return received(whole, bytes: packed.count, now: now)
    }
  }

  /// - Returns: false when it was here already.
  private mutating func remember(_ key: RequestKey) -> Bool {
    // Kept when a peer is lost: it may only have been silent, and what it sent before may still come
    // twice.
    if seen[key.sender] == nil, seen.count >= limits.rememberedSenders {
      for sender in seen.keys where directory[sender] == nil { seen[sender] = nil }
    }
    return seen[key.sender, default: RecentIDs()]
      .insert(key.messageID, limit: limits.rememberedIDs)
  }

  /// Keeps mail of somebody whom our table does not list: its answer would have nowhere to go. The
  /// table that lists it is on its way, or the registry is asked for it now.
  private mutating func hold(
    _ envelope: Envelope, bytes: Int, now: Instant
  ) -> [BusDirective] {
    guard held.count < limits.heldMessages,
      held.reduce(bytes, { $0 + $1.bytes }) <= limits.heldBytes
    else { return [.dropped(reason: "unknown_peer")] }
    held.append((envelope, bytes, now))
    if !isRegistry { nextHello = min(nextHello, now) }
    return []
  }

  private mutating func receivedRequest(
    _ envelope: Envelope, bytes: Int, now: Instant
  ) -> [BusDirective] {
    var directives: [BusDirective] = []
    if case .hello(let peer) = envelope.body, isRegistry, peer.id == envelope.sender,
      directory[peer.id] == nil
    {
      directory.introduce(peer, until: now + peer.ttl)
    }
    guard let peer = directory[envelope.sender] else {
      return hold(envelope, bytes: bytes, now: now)
    }
    let key = RequestKey(sender: envelope.sender, messageID: envelope.messageID)
    guard remember(key) else { return [.dropped(reason: "duplicate")] }
    let isStream = envelope.shape == .open
    let refusal: Failure? =
      if isDraining {
        Failure(.shuttingDown, "\(own.id.name) is shutting down", retryAfter: .seconds(1))
      } else if incoming.count >= limits.handlers {
        Failure(
          .overloaded, "\(own.id.name) works on \(limits.handlers) requests already",
          retryAfter: .seconds(1))
      } else {
        nil
      }
    if let refusal {
      let shape: Envelope.Shape = isStream ? .end : .reply
      return [.send(answer(key, shape, .failure(refusal)), to: peer.mailbox, .control)]
    }
    incoming[key] = Incoming(
      isStream: isStream, mailbox: peer.mailbox, deadline: envelope.remaining.map { now + $0 })
    if case .goodbye = envelope.body { incoming[key]?.isFarewell = true }
    begin(with: peer.id, now: now)
    // Connected before there is anything to say, so that the caller's death is noticed.
    directives.append(.connect(peer.mailbox))
    let request = BusRequest(
      body: envelope.body, sender: envelope.sender, trace: envelope.trace,
      remaining: envelope.remaining, idempotencyKey: envelope.idempotencyKey)
    directives.append(isStream ? .startStream(key, request) : .startCall(key, request))
    return directives
  }

  private mutating func receivedReply(_ envelope: Envelope, now: Instant) -> [BusDirective] {
    guard let request = expected(envelope) else { return [] }
    switch request.kind {
    case .stream: return []
    case .hello:
      outgoing[envelope.correlationID] = nil
      guard case .peerTable(let table) = envelope.body else {
        nextHello = now + Self.helloRetry
        return []
      }
      if table.epoch != directory.table.epoch { helloInterval = Self.firstHelloInterval }
      nextHello = now + helloInterval
      helloInterval = min(helloInterval * 2, own.ttl / 3)
      return apply(table, now: now)
    case .call:
      outgoing[envelope.correlationID] = nil
      end(with: request.peer)
      if case .failure(let failure) = envelope.body {
        note(failure, from: envelope.sender)
        return [.resolve(envelope.correlationID, .failure(failure))]
      }
      return [.resolve(envelope.correlationID, .success(envelope.body))]
    }
  }

  private mutating func receivedItem(_ envelope: Envelope, bytes: Int) -> [BusDirective] {
    let id = envelope.correlationID
    guard let request = expected(envelope), request.kind == .stream else { return [] }
    if envelope.sequence < request.expected { return [.dropped(reason: "duplicate")] }
    if envelope.sequence > request.expected {
      let lost = envelope.sequence - request.expected
      return [
        .ended(id, Failure(.streamGap, "\(lost) items of the stream were lost on the way"))
      ] + abandon(id)
    }
    outgoing[id]?.expected += 1
    return [.item(id, envelope.body, bytes: bytes)]
  }

  private mutating func receivedEnd(_ envelope: Envelope) -> [BusDirective] {
    let id = envelope.correlationID
    guard let request = expected(envelope), request.kind == .stream else { return [] }
    outgoing[id] = nil
    end(with: request.peer)
    if case .failure(let failure) = envelope.body {
      note(failure, from: envelope.sender)
      return [.ended(id, failure)]
    }
    if envelope.sequence != request.expected {
      return [.ended(id, Failure(.streamGap, "the stream's last items were lost on the way"))]
    }
    return [.ended(id, nil)]
  }

  /// Who says that it is shutting down gets nothing more of ours.
  private mutating func note(_ failure: Failure, from peer: PeerID) {
    if failure.code == .shuttingDown { directory.leaves(peer) }
  }

  /// The request that an answer belongs to, if it comes from whom we asked. A hello goes to whoever
  /// is the registry.
  private func expected(_ envelope: Envelope) -> Outgoing? {
    guard let request = outgoing[envelope.correlationID] else { return nil }
    return request.peer == nil || request.peer == envelope.sender ? request : nil
  }

  // MARK: - Peers

  /// Our copy of the table: from the registry, or computed by us if we are the registry.
  public mutating func apply(_ table: PeerTable, now: Instant) -> [BusDirective] {
    guard let gone = directory.apply(table, now: now) else { return [] }
    directory.introduce(own, until: nil)
    var directives: [BusDirective] = []
    for peer in gone where peer.id != own.id {
      directives += lose(peer.id, why: "it left", now: now)
      // A restarted registry keeps its address.
      if directory.peer(at: peer.mailbox) == nil { directives.append(.disconnect(peer.mailbox)) }
    }
    for peer in table.peers where peer.id != own.id {
      if let publisher = peer.publisher { directives.append(.subscribe(publisher)) }
    }
    directives.append(.peersChanged)
    let waiting = held
    held = []
    for mail in waiting {
      if directory[mail.envelope.sender] == nil {
        held.append(mail)
      } else {
        directives += received(mail.envelope, bytes: mail.bytes, now: now)
      }
    }
    return directives
  }

  /// A mailbox's connection went away.
  public mutating func connectionLost(to mailbox: String, now: Instant) -> [BusDirective] {
    if mailbox == registryMailbox { nextHello = min(nextHello, now + Self.helloRetry) }
    guard let peer = directory.peer(at: mailbox), peer.id != own.id else { return [] }
    return lose(peer.id, why: "its connection broke", now: now)
  }

  /// Everything in flight with a peer is over.
  mutating func lose(_ peer: PeerID, why: String, now: Instant) -> [BusDirective] {
    directory.foundDead(peer, now: now)
    var directives: [BusDirective] = []
    let failure = Failure(.peerLost, "\(peer.name) was lost: \(why)")
    for (id, request) in outgoing.sorted(by: { $0.key < $1.key }) where request.peer == peer {
      outgoing[id] = nil
      switch request.kind {
      case .call: directives.append(.resolve(id, .failure(failure)))
      case .stream: directives.append(.ended(id, failure))
      case .hello: break
      }
    }
    let unwanted = incoming.filter { $0.key.sender == peer && !$0.value.isFarewell }.keys
    for key in unwanted.sorted(by: { $0.messageID < $1.messageID }) {
      incoming[key] = nil
      directives.append(.cancelHandler(key, failure))
    }
    inFlight[peer] = nil
    heartbeats[peer] = nil
    answered.remove(peer)
    _ = reassembly.expire(now: now, lost: peer)
    directives.append(.peerLost(peer))
    directives.append(.peersChanged)
    return directives
  }
}
